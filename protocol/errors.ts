/**
 * Every error a person or a peer can meet, with its code.
 * A code is stable: it travels on the wire, appears in logs and decides the exit status of the CLI.
 */

/** Exit statuses of the `tacit` command, documented in README.md. */
export const EXIT = {
  ok: 0,
  internal: 1,
  usage: 2,
  data: 3,
  connection: 4,
  trust: 5,
  protocol: 6,
  run: 7,
  interrupted: 130,
  terminated: 143,
} as const;

type ExitName = keyof typeof EXIT;

interface ErrorEntry {
  /** Whether the same request may succeed later without anyone changing anything. */
  readonly retryable: boolean;
  readonly exit: ExitName;
  readonly meaning: string;
}

const entry = (exit: ExitName, meaning: string, retryable = false): ErrorEntry => ({ exit, meaning, retryable });

/** The table of codes; SPEC.md §11 repeats those that travel on the wire. */
export const ERRORS = {
  // what a person typed or wrote
  'usage/unknown-command': entry('usage', 'There is no such command.'),
  'usage/unknown-flag': entry('usage', 'There is no such flag, or its value is not usable.'),
  'usage/file-exists': entry('usage', 'The file exists already and is not overwritten.'),
  'plan/unreadable': entry('usage', 'The plan file cannot be read or is not YAML or JSON.'),
  'plan/invalid': entry('usage', 'A key of the plan is missing, unknown or out of range.'),
  'plan/unknown-name': entry('usage', 'The plan names an encoder, task, strategy or mode that does not exist.'),
  'plan/refused': entry('usage', 'The plan is well formed but cannot hold what it promises.'),
  'policy/invalid': entry('usage', 'A key of the local policy is unknown or out of range.'),
  'policy/refused': entry('trust', 'The plan or an offer falls below the floors of the local policy.'),
  // privacy
  'privacy/out-of-range': entry('usage', 'A privacy parameter (ε, δ, noise, sampling, rounds) is outside its range.'),
  'privacy/too-little-noise': entry('usage', 'The noise of one participant would be too coarse to hide anything.'),
  'privacy/budget-spent': entry('run', 'One more release would pass the privacy budget.'),
  // data
  'data/not-found': entry('data', 'The data folder or file does not exist.'),
  'data/unreadable': entry('data', 'A data file is truncated, damaged or of an unknown format.'),
  'data/wrong-shape': entry('data', 'An example does not have the shape that the plan requires.'),
  'data/too-few-examples': entry('data', 'The data source holds fewer examples than the plan requires.'),
  // weights and checkpoints
  'weights/malformed': entry('data', 'The bytes are not a well-formed safetensors file.'),
  'weights/mismatch': entry('data', 'Tensor names or shapes differ from what the plan requires.'),
  'weights/not-finite': entry('data', 'A tensor holds NaN or an infinity.'),
  // connection
  'net/unreachable': entry('connection', 'Nobody answers at that address.', true),
  'net/port-in-use': entry('connection', 'The port is taken by another program.'),
  'net/closed': entry('connection', 'The connection ended before the answer came.', true),
  'net/timeout': entry('connection', 'The answer did not come in time.', true),
  'net/insecure': entry('connection', 'Plain http is served to, and joined from, this machine only.'),
  'net/tls': entry('connection', 'The TLS handshake failed.'),
  // identity
  'auth/wrong-fingerprint': entry('trust', "The coordinator's key is not the one that was pinned."),
  'auth/bad-signature': entry('trust', 'A signature does not verify.'),
  'auth/bad-key': entry('trust', 'A public key is malformed, of small order or not canonical.'),
  'auth/not-identified': entry('trust', 'The request needs a signed-in participant.'),
  'auth/certificate-required': entry('trust', 'The plan admits participants with a certificate of the operator only.'),
  'auth/certificate-invalid': entry('trust', 'The certificate does not verify, has expired or is for another task.'),
  'auth/forked-transcript': entry('trust', 'The coordinator contradicts the rounds that it has signed before.'),
  'auth/replaced': entry('trust', 'The same identity signed in elsewhere.'),
  // wire
  'wire/unsupported-version': entry('protocol', 'No protocol version is spoken by both sides.'),
  'wire/malformed': entry('protocol', 'A frame or message is not well formed.'),
  'wire/too-large': entry('protocol', 'A frame, header, body or report exceeds its limit.'),
  'wire/unexpected': entry('protocol', 'The message does not belong to this state.'),
  'wire/rate-limited': entry('protocol', 'Too many requests.', true),
  'wire/no-common-suite': entry('protocol', 'No sealing suite is spoken by both sides.'),
  'wire/hash-mismatch': entry('protocol', 'The bytes received do not have the hash that was announced.', true),
  'wire/unknown-blob': entry('protocol', 'No blob with that hash is offered (any more).'),
  // rounds
  'round/full': entry('run', 'The round has all the participants it wants.', true),
  'round/not-selected': entry('run', 'Not chosen for this round.', true),
  'round/stale': entry('run', 'The round, attempt or offer has passed.', true),
  'round/late': entry('run', 'The report came after its deadline.', true),
  'round/duplicate': entry('run', 'A report of this participant is already in.'),
  'round/too-many-contributions': entry('run', 'This model has been contributed to as often as the plan allows.'),
  'round/too-few-participants': entry('run', 'Fewer participants than the round needs.', true),
  'round/too-few-reports': entry('run', 'Fewer reports than the round needs.', true),
  'round/cancelled': entry('run', 'The coordinator is stopping.', true),
  'report/malformed': entry('run', 'A report is truncated, of the wrong length or cannot be opened.'),
  'report/out-of-bounds': entry('run', 'A report holds values outside the bounds of its sections.'),
  'report/not-finite': entry('run', 'Local training gave NaN or an infinity; nothing was sent.'),
  // secure aggregation
  'secagg/refused': entry('trust', 'The coordinator asks for what could open a single report; nothing was given.'),
  'secagg/bad-share': entry('run', 'A share cannot be opened or is not what it should be.', true),
  'secagg/unrecoverable': entry('run', 'Too few good shares are left to open the sum.', true),
  'train/failed': entry('run', 'Local training failed.'),
  'train/cancelled': entry('interrupted', 'Work was stopped between two steps, as it was asked to.', true),
  'run/failed': entry('run', 'The run ended without a model.'),
  'run/store': entry('run', 'The store could not be read or written.'),
  'run/not-found': entry('data', 'The run folder does not exist or holds no finished run.'),
  // machine
  'engine/unavailable': entry('usage', 'The engine that was asked for cannot run here.'),
  'engine/unsupported': entry('internal', 'The engine has no kernel for an operation.'),
  internal: entry('internal', 'A defect of Tacit.'),
} as const satisfies Record<string, ErrorEntry>;

export type ErrorCode = keyof typeof ERRORS;

export interface ErrorDetails {
  /** Where the fault lies: a path in a plan, a file, a flag, a section. */
  readonly where?: string;
  /** What the person can do about it. */
  readonly hint?: string;
  readonly retryAfterMs?: number;
  readonly cause?: unknown;
}

/** The one error class of the project: `code` says which, `message` what was wrong, `where` where, `hint` what to do. */
export class TacitError extends Error {
  override readonly name = 'TacitError';
  readonly code: ErrorCode;
  readonly where: string | undefined;
  readonly hint: string | undefined;
  readonly retryAfterMs: number | undefined;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.where = details.where;
    this.hint = details.hint;
    this.retryAfterMs = details.retryAfterMs;
  }

  get retryable(): boolean {
    return ERRORS[this.code].retryable;
  }

  get exitStatus(): number {
    return EXIT[ERRORS[this.code].exit];
  }
}

export const isErrorCode = (text: string): text is ErrorCode => Object.hasOwn(ERRORS, text);

/** Turns anything thrown into a `TacitError`; what is not one already is a defect of ours and keeps its cause. */
export function asTacitError(thrown: unknown): TacitError {
  if (thrown instanceof TacitError) return thrown;
  const text = thrown instanceof Error ? thrown.message : String(thrown);
  return new TacitError('internal', text, { cause: thrown });
}
