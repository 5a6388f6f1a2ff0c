/** What `tacit enroll` does: the operator's key says that a participant's key belongs to somebody it knows. */
import { fromBase64Url, toBase64Url } from '../protocol/bytes.ts';
import { issueCertificate } from '../protocol/certificate.ts';
import { isUsableEd25519Key } from '../protocol/crypto/curves.ts';
import { nodeCrypto } from '../protocol/crypto/node.ts';
import { TacitError } from '../protocol/errors.ts';
import { readIdentityFile } from '../protocol/node/identity-file.ts';
import { writeCertificate } from './certificate-file.ts';
import type { EnrollOptions } from './commands/enroll.ts';
import type { Context } from './context.ts';

const DAY_SECONDS = 86_400;

/** A participant's public key as `tacit keygen` and the join page show it. @throws TacitError auth/bad-key */
function publicKeyOf(text: string): Uint8Array {
  try {
    const key = fromBase64Url(text);
    if (key.length === 32 && isUsableEd25519Key(key)) return key;
  } catch {
    // answered below, like every other text that is no key
  }
  throw new TacitError('auth/bad-key', `${text.slice(0, 60)} is not the public key of a participant`, {
    hint: 'It is the line "participant" that `tacit keygen` prints, 43 characters long.',
  });
}

/** @throws TacitError auth/bad-key, usage/file-exists, run/store */
export async function enroll(context: Context, options: EnrollOptions, participant: string): Promise<void> {
  const identity = publicKeyOf(participant);
  const operator = await readIdentityFile(options.operator);
  const notAfter = Math.floor(Date.now() / 1000) + options.days * DAY_SECONDS;
  const certificate = await issueCertificate((statement) => operator.sign(statement), {
    identity,
    tasks: options.task,
    notAfter,
    nonce: nodeCrypto.randomBytes(32),
  });
  await writeCertificate(options.out, certificate);
  const until = new Date(notAfter * 1000).toISOString().slice(0, 10);
  context.result(
    {
      participant,
      operatorKey: operator.id,
      tasks: options.task,
      notAfter,
      file: options.out,
      certificate: toBase64Url(certificate),
    },
    `${options.out}\nparticipant  ${participant}\ntasks        ${options.task.join(', ')} until ${until}\noperator     ${operator.id}\n` +
      'Plans name that operator: admission: { certificates: required, operatorKey: … }',
  );
}
