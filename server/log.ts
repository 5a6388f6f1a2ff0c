/** Structured logs of a coordinator's events: never a payload, and participants by a short hash of their id. */
import { createHash } from 'node:crypto';
import { destination, pino } from 'pino';
import type { CoordinatorEvent } from './events.ts';

/** The part of a pino logger that is used. */
export interface Logger {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  debug(fields: object, message: string): void;
}

export type LogLevel = 'debug' | 'info' | 'warn' | 'silent';

/** JSON lines on standard error, so that standard output stays the program's own. */
export const createLogger = (level: LogLevel): Logger =>
  pino({ level, base: null }, destination({ fd: 2, sync: true }));

/** Eight hex digits that name a participant within a log, and nobody outside it. */
export const pseudonymOf = (participant: string): string =>
  createHash('sha256').update(participant).digest('hex').slice(0, 8);

type Level = 'info' | 'warn' | 'debug';

const LEVELS: Readonly<Record<CoordinatorEvent['type'], Level>> = {
  joined: 'info',
  left: 'info',
  waiting: 'debug',
  recruiting: 'info',
  accepted: 'debug',
  declined: 'info',
  training: 'info',
  report: 'debug',
  refused: 'warn',
  aggregating: 'debug',
  committed: 'info',
  failed: 'warn',
  finished: 'info',
  dropped: 'warn',
};

/** What of an event is logged: everything but the model and the transcript. */
function fieldsOf(event: CoordinatorEvent): object {
  if (event.type === 'committed') return { ...event.summary, rounds: event.rounds };
  const { type: _type, ...fields } = event;
  return 'participant' in fields ? { ...fields, participant: pseudonymOf(fields.participant) } : fields;
}

/** A listener of events that writes them to `logger`. */
export const logEvents =
  (logger: Logger) =>
  (event: CoordinatorEvent): void =>
    logger[LEVELS[event.type]](fieldsOf(event), event.type);
