/**
 * The transcript as evidence (SPEC.md §9.4): for each committed round its offer and its signed link. Checked from the first round,
 * it shows that every round was offered under one plan, started from the model that the round before gave, and was never replaced.
 */
import { equalBytes, fromHex, toHex } from './bytes.ts';
import type { CryptoProvider } from './crypto/provider.ts';
import { TacitError } from './errors.ts';
import { commitStatement, GENESIS_HEAD, headAfter, offerHashOf, verifyStatement } from './identity.ts';
import { type CommitRecord, commitRecordSchema, type Offer, offerSchema } from './messages.ts';

/** One committed round. */
export interface Link {
  readonly offer: Offer;
  readonly commit: CommitRecord;
}

/** A link as a line of JSON; byte strings are lower-case hex. */
export const linkToJson = (link: Link & { readonly serverKey: Uint8Array }): string =>
  JSON.stringify(link, (_key, value: unknown) => (value instanceof Uint8Array ? { hex: toHex(value) } : value));

/** @throws TacitError wire/malformed if the line is not a link */
export function linkFromJson(line: string): Link & { readonly serverKey: Uint8Array } {
  try {
    const { offer, commit, serverKey } = JSON.parse(line, (_key, value: unknown) =>
      value !== null && typeof value === 'object' && 'hex' in value ? fromHex(String(value.hex)) : value,
    );
    if (!(serverKey instanceof Uint8Array)) throw new Error('no key');
    return { offer: offerSchema.parse(offer), commit: commitRecordSchema.parse(commit), serverKey };
  } catch (cause) {
    throw new TacitError('wire/malformed', 'not a link of a transcript', { cause });
  }
}

export interface TranscriptClaim {
  readonly serverKey: Uint8Array;
  readonly planHash: Uint8Array;
}

const broken = (round: number, what: string): TacitError =>
  new TacitError('auth/forked-transcript', `round ${round + 1}: ${what}`, { where: `round ${round + 1}` });

/**
 * Recomputes the chain from its beginning. @returns the head after the last link
 * @throws TacitError auth/forked-transcript, auth/bad-signature, each naming the first round that is wrong
 */
export async function verifyTranscript(
  crypto: CryptoProvider,
  { serverKey, planHash }: TranscriptClaim,
  links: readonly Link[],
): Promise<Uint8Array> {
  let head = GENESIS_HEAD;
  let model: Uint8Array | undefined;
  for (const [round, { offer, commit }] of links.entries()) {
    const same = offer.round === round && commit.round === round && offer.attempt === commit.attempt;
    if (!same) throw broken(round, `the record is of round ${commit.round + 1}, attempt ${commit.attempt}`);
    if (!equalBytes(await offerHashOf(crypto, offer), commit.offerHash)) throw broken(round, 'made from another offer');
    if (!equalBytes(offer.planHash, planHash)) throw broken(round, 'offered under another plan');
    if (model && !equalBytes(offer.modelHash, model)) throw broken(round, 'does not start from the model before');
    if (!equalBytes(commit.prevHead, head)) throw broken(round, 'does not follow the round before');
    await verifyStatement(crypto, serverKey, commitStatement(commit), commit.signature).catch((cause: unknown) => {
      throw new TacitError('auth/bad-signature', `round ${round + 1} is not signed by the coordinator`, { cause });
    });
    head = await headAfter(crypto, commit);
    model = commit.modelHash;
  }
  return head;
}
