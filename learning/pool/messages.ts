/** What a pool and its worker say to each other. */
import { type ErrorCode, isErrorCode, TacitError } from '../../protocol/errors.ts';
import type { EngineChoice } from '../engine/engine.ts';
import type { EngineOptions } from '../engine/select.ts';
import type { Progress } from './job.ts';

/** First message (or `workerData`) of a worker. */
export interface WorkerStart {
  readonly engine: EngineChoice;
  readonly engineOptions?: EngineOptions;
  readonly words: Int32Array;
  /** Node on Linux: the thread gives way to every other. */
  readonly background?: boolean;
  /** Browser: where bundled data are served. */
  readonly dataUrl?: string;
}

export type ToWorker =
  | { readonly kind: 'start'; readonly start: WorkerStart }
  | { readonly kind: 'run'; readonly name: string; readonly input: unknown }
  /** Where there is no shared memory. */
  | { readonly kind: 'cancel' }
  /** Free the engine; answered by `closed`. */
  | { readonly kind: 'close' };

export type FromWorker =
  | { readonly kind: 'ready'; readonly engine: string; readonly reason: string }
  /** Another engine has taken over, or there is more to say of it. */
  | { readonly kind: 'engine'; readonly engine: string; readonly reason: string }
  | { readonly kind: 'progress'; readonly progress: Progress }
  | { readonly kind: 'done'; readonly output: unknown }
  | { readonly kind: 'failed'; readonly error: ErrorData }
  | { readonly kind: 'closed' };

/** An error as plain data: structured cloning keeps neither class nor code. */
export interface ErrorData {
  readonly code: ErrorCode;
  readonly message: string;
  readonly where?: string;
  readonly hint?: string;
  readonly stack?: string;
}

export function errorData(thrown: unknown): ErrorData {
  const error = thrown instanceof Error ? thrown : new Error(String(thrown));
  const stack = error.stack === undefined ? {} : { stack: error.stack };
  if (!(error instanceof TacitError)) return { code: 'train/failed', message: error.message, ...stack };
  return {
    code: error.code,
    message: error.message,
    ...(error.where === undefined ? {} : { where: error.where }),
    ...(error.hint === undefined ? {} : { hint: error.hint }),
    ...stack,
  };
}

/** The error again; the worker's own stack is its cause. */
export function errorFrom({ code, message, where, hint, stack }: ErrorData): TacitError {
  return new TacitError(isErrorCode(code) ? code : 'train/failed', message, {
    ...(where === undefined ? {} : { where }),
    ...(hint === undefined ? {} : { hint }),
    ...(stack === undefined ? {} : { cause: stack }),
  });
}

/** Buffers that `output` holds whole, to be moved instead of copied. Shared ones, and views of a part, are left to copying. */
export function ownedBuffers(output: unknown, found: Set<ArrayBuffer> = new Set()): ArrayBuffer[] {
  if (ArrayBuffer.isView(output)) {
    const { buffer } = output;
    if (buffer instanceof ArrayBuffer && output.byteLength === buffer.byteLength) found.add(buffer);
  } else if (typeof output === 'object' && output !== null && !(output instanceof ArrayBuffer)) {
    for (const value of Object.values(output)) ownedBuffers(value, found);
  }
  return [...found];
}
