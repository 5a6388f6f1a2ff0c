/**
 * The messages of protocol v1: two unions discriminated on `type`, one for each direction (SPEC.md §5–§9).
 * Requests carry an `id` that the reply repeats as `re`. Durations are ms; there are no clock times.
 */
import { z } from 'zod';
import { isErrorCode } from './errors.ts';
import { IDENTIFIER } from './ids.ts';
import { LIMITS } from './transport.ts';

// zod would compile validators with `new Function`; pages forbid that.
z.config({ jitless: true });

export const PROTOCOL_VERSION = 1;

/** Bodies of a masked exchange, by who sends them, in order. */
export const ANSWER_STEPS = ['advertisement', 'sealed-shares', 'complaint', 'agreement', 'unmasking'] as const;
export const STAGE_STEPS = ['roster', 'delivery', 'survivors', 'agreements'] as const;
export type AnswerStep = (typeof ANSWER_STEPS)[number];
export type StageStep = (typeof STAGE_STEPS)[number];

/** Links of the transcript in one `records`: their header stays below half of what a frame's may have. */
export const RECORDS_AT_ONCE = 64;

const bytes = (length: number) =>
  z.custom<Uint8Array>((v) => v instanceof Uint8Array && v.length === length, `must be ${length} bytes`);
const upTo = (max: number) =>
  z.custom<Uint8Array>((v) => v instanceof Uint8Array && v.length <= max, `must be at most ${max} bytes`);
const u8 = z.int().min(0).max(255);
const u32 = z
  .int()
  .min(0)
  .max(2 ** 32 - 1);
const size = z.int().min(0).max(LIMITS.blobBytes);
const identifier = z.string().regex(IDENTIFIER);
const text = z.string().max(500);
const hash = bytes(32);
const key = bytes(32);
const nonce = bytes(32);
const signature = bytes(64);

const request = { id: u32 };
const reply = { re: u32 };

/** What a participant's software can do. Like `hello` itself it may hold keys that this version does not know. */
const capabilitiesSchema = z.object({
  suites: z.array(identifier).max(16),
  engine: identifier,
  platform: z.enum(['node', 'browser', 'other']),
  memoryMb: u32.optional(),
});
export type Capabilities = z.infer<typeof capabilitiesSchema>;

/** A signed invitation to one attempt at one round (SECURITY-relevant fields only; all else is in the plan). */
export const offerSchema = z.strictObject({
  v: z.literal(PROTOCOL_VERSION),
  task: identifier,
  kind: z.enum(['train', 'evaluate', 'statistics']),
  round: u32,
  attempt: u32,
  modelVersion: u32,
  modelHash: hash,
  planHash: hash,
  nonce,
});
export type Offer = z.infer<typeof offerSchema>;

/** A content-addressed piece of a broadcast: a safetensors file (or the plan), pulled in chunks by its hash. */
const blobSchema = z.strictObject({ name: identifier, hash, bytes: size });
export type BlobRef = z.infer<typeof blobSchema>;

/** The start of one exchange of a round: what to pull before computing the report. Signed as statement `exchange`. */
const exchangeSchema = z.strictObject({
  offerHash: hash,
  index: u8,
  blobs: z.array(blobSchema).max(16),
  signature,
});
export type ExchangeStart = z.infer<typeof exchangeSchema>;

/**
 * One link of the transcript (§9), signed as statement `commit`: head = SHA-256(prevHead ‖ canon(commit)).
 * Round and attempt are bound through offerHash; here they only help to find the offer.
 */
export const commitRecordSchema = z.strictObject({
  offerHash: hash,
  round: u32,
  attempt: u32,
  participants: u32,
  aggregateHash: hash,
  modelHash: hash,
  prevHead: hash,
  signature,
});
export type CommitRecord = z.infer<typeof commitRecordSchema>;

// ------------------------------------------------------------------ participant → coordinator

const clientSchemas = [
  /** The one message whose unknown keys are ignored, so that versions to come can be told `wire/unsupported-version`. */
  z.object({
    type: z.literal('hello'),
    ...request,
    versions: z.array(u8).min(1).max(16),
    nonce,
    software: text,
    capabilities: capabilitiesSchema,
  }),
  z.strictObject({
    type: z.literal('identify'),
    ...request,
    identity: key,
    /** Statement `auth`. */
    signature,
    /** An operator-signed certificate (identity.ts); empty when there is none. */
    certificate: upTo(1024),
  }),
  z.strictObject({ type: z.literal('join'), ...request, task: identifier }),
  z.strictObject({ type: z.literal('accept'), ...request, offerHash: hash }),
  z.strictObject({ type: z.literal('decline'), ...request, offerHash: hash, code: identifierOfError(), text }),
  z.strictObject({ type: z.literal('ask'), ...request, hash, offset: size }),
  /** Opens or resumes an upload; the answer says from where to go on. */
  z.strictObject({
    type: z.literal('upload'),
    ...request,
    offerHash: hash,
    exchange: u8,
    suite: identifier,
    hash,
    bytes: size,
  }),
  z.strictObject({ type: z.literal('put'), ...request, hash, offset: size }),
  z.strictObject({
    type: z.literal('commit'),
    ...request,
    offerHash: hash,
    exchange: u8,
    hash,
    bytes: size,
    /** Statement `upload`. */
    signature,
  }),
  /** What a participant gives to a masked exchange (§12): the body, in the layout of its step. Signatures are inside. */
  z.strictObject({
    type: z.literal('answer'),
    ...request,
    offerHash: hash,
    exchange: u8,
    step: z.enum(ANSWER_STEPS),
  }),
  /** Asks for links of the transcript, oldest first, from round `from` on. */
  z.strictObject({ type: z.literal('history'), ...request, from: u32 }),
  z.strictObject({ type: z.literal('bye'), ...request }),
] as const;

// ------------------------------------------------------------------ coordinator → participant

const serverSchemas = [
  z.strictObject({
    type: z.literal('welcome'),
    ...reply,
    version: u8,
    serverKey: key,
    nonce,
    task: identifier,
    /** Statement `welcome`, which covers the nonces of both sides and the versions that were offered. */
    signature,
  }),
  z.strictObject({ type: z.literal('identified'), ...reply, admitted: z.literal(true) }),
  z.strictObject({
    type: z.literal('joined'),
    ...reply,
    planHash: hash,
    planBytes: size,
    /** Statement `plan`. */
    planSignature: signature,
    /** X25519 key that reports of this connection are sealed to, with statement `aggregator`. */
    aggregatorKey: key,
    aggregatorSignature: signature,
    /** Rounds committed so far. */
    round: u32,
    /** Head of the transcript so far. */
    head: hash,
    /** Whether the run has ended; `finished` then follows. A participant that is still in a round gets its `offer` again. */
    finished: z.boolean(),
  }),
  z.strictObject({ type: z.literal('offer'), offer: offerSchema, signature }),
  /** Reply to `accept` with exchange 0, and sent unasked at the start of each later exchange. */
  z.strictObject({ type: z.literal('exchange'), re: u32.optional(), exchange: exchangeSchema }),
  /** Reply to `ask`: the body is min(256 KiB, bytes − offset) long, `bytes` being the size of the whole blob. */
  z.strictObject({ type: z.literal('chunk'), ...reply, hash, offset: size, bytes: size }),
  /** Reply to `upload` and `put`: every byte below `offset` is held. */
  z.strictObject({ type: z.literal('got'), ...reply, offset: size }),
  /** Reply to `commit`, `answer`, `decline` and `bye`. */
  z.strictObject({ type: z.literal('ok'), ...reply }),
  /** What a step of a masked exchange starts from (§12): the body, in the layout of the step. */
  z.strictObject({ type: z.literal('stage'), offerHash: hash, exchange: u8, step: z.enum(STAGE_STEPS) }),
  z.strictObject({ type: z.literal('committed'), commit: commitRecordSchema }),
  /** Reply to `history`: the links from round `from` on, none if there are no more. */
  z.strictObject({ type: z.literal('records'), ...reply, records: z.array(commitRecordSchema).max(RECORDS_AT_ONCE) }),
  z.strictObject({
    type: z.literal('failed'),
    offerHash: hash,
    round: u32,
    attempt: u32,
    code: identifierOfError(),
    retryAfterMs: u32,
  }),
  /** The run has ended; the final model may be pulled by its hash. Statement `finished`. */
  z.strictObject({ type: z.literal('finished'), model: blobSchema, rounds: u32, signature }),
  /** Pace steering: nothing for you now. */
  z.strictObject({ type: z.literal('wait'), code: identifierOfError(), retryAfterMs: u32 }),
  z.strictObject({
    type: z.literal('error'),
    re: u32.optional(),
    code: identifierOfError(),
    text,
    retryAfterMs: u32.optional(),
    /** With `wire/unsupported-version`: the versions that the coordinator speaks. */
    supportedVersions: z.array(u8).max(16).optional(),
  }),
] as const;

function identifierOfError() {
  return z.custom<string>((v) => typeof v === 'string' && isErrorCode(v), 'must be a code of SPEC.md §11');
}

export const clientMessage = z.discriminatedUnion('type', clientSchemas);
export const serverMessage = z.discriminatedUnion('type', serverSchemas);
export type ClientMessage = z.infer<typeof clientMessage>;
export type ServerMessage = z.infer<typeof serverMessage>;
export type ClientMessageOf<T extends ClientMessage['type']> = Extract<ClientMessage, { type: T }>;
export type ServerMessageOf<T extends ServerMessage['type']> = Extract<ServerMessage, { type: T }>;

/** The type of the reply to each request; `error` may come in its place. */
export const REPLY_TO = {
  hello: 'welcome',
  identify: 'identified',
  join: 'joined',
  accept: 'exchange',
  decline: 'ok',
  ask: 'chunk',
  upload: 'got',
  put: 'got',
  commit: 'ok',
  answer: 'ok',
  history: 'records',
  bye: 'ok',
} as const satisfies Record<ClientMessage['type'], ServerMessage['type']>;
export type ReplyTo<T extends ClientMessage['type']> = ServerMessageOf<(typeof REPLY_TO)[T]>;

/** Messages that carry a body, and no other does. */
export const WITH_BODY: ReadonlySet<string> = new Set(['put', 'chunk', 'answer', 'stage']);
