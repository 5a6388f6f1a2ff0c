/** The box at the top that says what went wrong, in plain words where there are better ones than the error's. */
import type { TacitError } from '../../../protocol/errors.ts';
import { byId, show } from './dom.ts';

const CODE_WORDS: Readonly<Record<string, string>> = {
  'auth/replaced': 'This browser has joined in another tab or window, so this one has stopped.',
  'auth/wrong-fingerprint': 'This is not the coordinator that your link names, so nothing was sent to it.',
  'auth/forked-transcript':
    'The coordinator contradicts the rounds that it has signed before, so this page no longer takes part.',
  'auth/certificate-required': 'The coordinator takes only participants with a certificate of the operator.',
  'net/unreachable': 'The coordinator cannot be reached any more.',
  'net/closed': 'The connection to the coordinator was lost, and it does not come back.',
};

/** An error as lines of text, with what to do and its code. */
export const problemWords = ({ code, message, hint }: TacitError, words = message): string =>
  [words, hint, `(${code})`].filter((line) => line !== undefined).join('\n');

/** Shows an error; hides the box without one. */
export function showProblem(error: TacitError | undefined): void {
  const box = byId('problem');
  show(box, error !== undefined);
  if (!error) return;
  box.textContent = problemWords(error, CODE_WORDS[error.code]);
  box.scrollIntoView({ block: 'nearest' });
}
