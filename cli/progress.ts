/**
 * What is going on, on stderr. On a terminal the last line is live and rewritten in place; elsewhere (a file, a pipe, CI) every
 * round is a line and anything else at most one line in three seconds, so that a log stays short and still shows life.
 */
import type { RoundView } from '../simulations/io.ts';
import { printable } from './printable.ts';
import { formatBytes, formatCount, formatSeconds } from './units.ts';

/** A line for people: `live` is replaced by the next one, `log` stays. */
export interface Line {
  readonly kind: 'live' | 'log';
  readonly text: string;
}
export const live = (text: string): Line => ({ kind: 'live', text });
export const log = (text: string): Line => ({ kind: 'log', text });

export interface Progress {
  /** Shows a line according to its kind; nothing for undefined. */
  show(line: Line | undefined): void;
  /** A state that the next one replaces. */
  live(text: string): void;
  /** A line that stays. */
  log(text: string): void;
  /** A round; on a terminal live with a bar, elsewhere a line. */
  round(round: RoundView): void;
  /** Clears the live line, so that something else may be printed; the next `live` draws it again. */
  pause(): void;
  /** Ends the live view; what was last shown stays on a terminal. */
  end(): void;
}

/** The part of a stream that a progress view needs. */
export interface ProgressStream {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

const BAR = 20;
/** Off a terminal, the shortest time between two passing states. */
const QUIET_MS = 3000;

function bar(fraction: number): string {
  const full = Math.round(Math.min(1, Math.max(0, fraction)) * BAR);
  return `${'━'.repeat(full)}${'╌'.repeat(BAR - full)}`;
}

/** `round 12/40 · 10 participants · loss −3.214 · ↑ 1.2 MB ↓ 4.8 MB · 1 min 05 s left`. */
export function describeRound(r: RoundView): string {
  const parts = [`round ${r.round}/${r.rounds}`, formatCount(r.cohort, 'participant')];
  if (r.loss !== undefined) parts.push(`loss ${r.loss.toFixed(3).replace('-', '−')}`);
  if (r.epsilon !== undefined) parts.push(`ε ${r.epsilon.toFixed(2)}`);
  if (r.bytesUp !== undefined || r.bytesDown !== undefined) {
    parts.push(`↑ ${formatBytes(r.bytesUp ?? 0)} ↓ ${formatBytes(r.bytesDown ?? 0)}`);
  }
  if (r.secondsLeft !== undefined) parts.push(`${formatSeconds(r.secondsLeft)} left`);
  return parts.join(' · ');
}

const silent: Progress = { show() {}, live() {}, log() {}, round() {}, pause() {}, end() {} };

type View = Omit<Progress, 'show'>;

function terminal(stream: ProgressStream): View {
  let shown = '';
  const clear = (): void => {
    if (shown) stream.write('\r\x1b[2K');
  };
  const live = (text: string): void => {
    clear();
    shown = [...text.replaceAll('\n', ' ')].slice(0, Math.max(20, (stream.columns ?? 80) - 1)).join('');
    stream.write(shown);
  };
  const pause = (): void => {
    clear();
    shown = '';
  };
  return {
    live,
    log: (text) => {
      pause();
      stream.write(`${text}\n`);
    },
    round: (r) => live(`${bar(r.round / r.rounds)} ${describeRound(r)}`),
    pause,
    end: () => {
      if (shown) stream.write('\n');
      shown = '';
    },
  };
}

function plain(stream: ProgressStream, now: () => number): View {
  let last = Number.NEGATIVE_INFINITY;
  let previous = '';
  const log = (text: string): void => {
    previous = text;
    stream.write(`${text}\n`);
  };
  const live = (text: string): void => {
    if (text === previous || now() - last < QUIET_MS) return;
    last = now();
    log(text);
  };
  return { live, log, round: (r) => log(describeRound(r)), pause() {}, end() {} };
}

/** A progress view for this stream. */
export function createProgress(
  stream: ProgressStream,
  { quiet = false, now = Date.now }: { quiet?: boolean; now?: () => number } = {},
): Progress {
  if (quiet) return silent;
  const view = stream.isTTY ? terminal(stream) : plain(stream, now);
  const shown: View = {
    ...view,
    live: (text) => view.live(printable(text)),
    log: (text) => view.log(printable(text)),
  };
  return { ...shown, show: (line) => line && shown[line.kind](line.text) };
}
