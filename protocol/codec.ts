/**
 * Frames (SPEC.md §3): u32le(header length) ‖ header ‖ body. The header is a message in MessagePack, the body raw bytes.
 * Whatever arrives is checked in this order: lengths, header grammar, schema, whether the message may carry a body.
 */
import type { z } from 'zod';
import { readU32le, u32le } from './bytes.ts';
import { TacitError } from './errors.ts';
import { type ClientMessage, clientMessage, type ServerMessage, serverMessage, WITH_BODY } from './messages.ts';
import { decodeStrict, packHeader } from './msgpack.ts';
import { LIMITS } from './transport.ts';

/** A message with its body, a view of the frame's bytes; only the messages of `WITH_BODY` have one. */
export interface Decoded<M> {
  readonly message: M;
  readonly body?: Uint8Array;
}

function withoutUndefined(message: object): object {
  return Object.fromEntries(Object.entries(message).filter(([, value]) => value !== undefined));
}

/** @throws TacitError wire/too-large when the header or the body exceeds its limit */
export function encodeFrame(message: ClientMessage | ServerMessage, body?: Uint8Array): Uint8Array<ArrayBuffer> {
  const header = packHeader(withoutUndefined(message));
  const bodyBytes = body?.length ?? 0;
  if (header.length > LIMITS.headerBytes || bodyBytes > LIMITS.bodyBytes) {
    throw new TacitError('wire/too-large', `"${message.type}" with ${header.length} + ${bodyBytes} bytes`);
  }
  const frame = new Uint8Array(4 + header.length + bodyBytes);
  frame.set(u32le(header.length));
  frame.set(header, 4);
  if (body) frame.set(body, 4 + header.length);
  return frame;
}

function checkBody(type: string, body: Uint8Array): void {
  if (body.length > LIMITS.bodyBytes) throw new TacitError('wire/too-large', `body of ${body.length} bytes`);
  if (body.length > 0 !== WITH_BODY.has(type)) {
    throw new TacitError('wire/malformed', `"${type}" ${body.length > 0 ? 'with' : 'without'} a body`);
  }
}

function decodeFrame<M extends { type: string }>(frame: Uint8Array, schema: z.ZodType<M>): Decoded<M> {
  if (frame.length > LIMITS.frameBytes) throw new TacitError('wire/too-large', `frame of ${frame.length} bytes`);
  if (frame.length < 5) throw new TacitError('wire/malformed', 'frame without a header');
  const headerBytes = readU32le(frame, 0);
  if (headerBytes > LIMITS.headerBytes) throw new TacitError('wire/too-large', `header of ${headerBytes} bytes`);
  if (headerBytes > frame.length - 4) throw new TacitError('wire/malformed', 'truncated header');
  const parsed = schema.safeParse(decodeStrict(frame.subarray(4, 4 + headerBytes)));
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    const what = issue?.code === 'unrecognized_keys' ? 'a key that it does not have' : (issue?.message ?? '');
    throw new TacitError('wire/malformed', `message: ${what}`, { where: issue?.path.map(String).join('.') ?? '' });
  }
  const message = parsed.data;
  const body = frame.subarray(4 + headerBytes);
  checkBody(message.type, body);
  return body.length > 0 ? { message, body } : { message };
}

/** What a participant sent. @throws TacitError wire/malformed, wire/too-large */
export const decodeClientFrame = (frame: Uint8Array): Decoded<ClientMessage> => decodeFrame(frame, clientMessage);

/** What a coordinator sent. @throws TacitError wire/malformed, wire/too-large */
export const decodeServerFrame = (frame: Uint8Array): Decoded<ServerMessage> => decodeFrame(frame, serverMessage);
