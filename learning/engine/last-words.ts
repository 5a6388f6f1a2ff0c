/** Why a child process that tried a native library came to nothing, in one line for a person. */

/** What Node says of a child that ended other than well. */
interface Ending {
  /** Whether it was ended for taking too long. */
  readonly killed?: boolean | undefined;
  readonly signal?: string | null | undefined;
  readonly code?: number | string | null | undefined;
}

/** The message of an error with a stack behind it. */
const MESSAGE = /^\s*(?:Uncaught )?\w*Error(?: \[\w+\])?: (.+)$/m;

export function lastWords({ killed, signal, code }: Ending, stderr: string): string {
  if (killed) return 'it gave no answer in time';
  if (signal) return `it died of ${signal}`;
  const said = MESSAGE.exec(stderr)?.[1] ?? stderr.trim().split('\n').at(-1);
  return said ? said : `it ended with status ${code}`;
}
