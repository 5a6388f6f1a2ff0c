/** The sealing suites by name, and which one a participant and a plan agree on. */
import { TacitError } from '../errors.ts';
import { SUITES, type SuiteName } from '../plan-privacy.ts';
import { naclBox } from './nacl-box.ts';
import type { SealingSuite } from './suite.ts';
import { x25519Aes256Gcm } from './x25519-aes256gcm.ts';

export const suites: Readonly<Record<SuiteName, SealingSuite>> = {
  'nacl-box': naclBox,
  'x25519-aes256gcm': x25519Aes256Gcm,
};

const isSuiteName = (name: string): name is SuiteName => (SUITES as readonly string[]).includes(name);

/** @throws TacitError wire/no-common-suite if there is no suite of that name, or it is not among `admitted` */
export function suiteNamed(name: string, admitted: readonly SuiteName[] = SUITES): SealingSuite {
  if (isSuiteName(name) && admitted.includes(name)) return suites[name];
  throw new TacitError('wire/no-common-suite', `suite ${name.slice(0, 64)} is not admitted`, {
    hint: `Admitted: ${admitted.join(', ')}.`,
  });
}

/** The first suite of the plan that the participant speaks. @throws TacitError wire/no-common-suite */
export function chooseSuite(admitted: readonly SuiteName[], spoken: readonly string[] = SUITES): SealingSuite {
  const name = admitted.find((suite) => spoken.includes(suite));
  if (name) return suites[name];
  throw new TacitError('wire/no-common-suite', `the plan admits ${admitted.join(', ')} only`);
}
