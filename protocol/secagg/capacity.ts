/** How many participants a roster can hold: it goes to each of them as the body of one message (SPEC.md §13.3). */
import { MAX_CERTIFICATE_BYTES } from '../certificate.ts';
import { LIMITS } from '../transport.ts';
import { type Advertisement, encodeAdvertisement, encodeRoster } from './objects.ts';

const zeros = (length: number): Uint8Array => new Uint8Array(length);

/** The longest entry that a roster may hold. */
const longestEntry = (exchanges: number, certified: boolean): Advertisement => ({
  identity: zeros(32),
  maskKeys: Array.from({ length: exchanges }, () => zeros(32)),
  channelKey: zeros(32),
  certificate: zeros(certified ? MAX_CERTIFICATE_BYTES : 0),
  signature: zeros(64),
});

/** What a roster of so many participants takes at most. @param certified whether the plan requires certificates */
export function rosterBytes(participants: number, exchanges: number, certified: boolean): number {
  const frame = encodeRoster({ entries: [], signature: zeros(64) }).length;
  return frame + participants * (4 + encodeAdvertisement(longestEntry(exchanges, certified)).length);
}

/** The most participants whose roster fits into one message, whatever their certificates. */
export function largestRoster(exchanges: number, certified: boolean): number {
  const none = rosterBytes(0, exchanges, certified);
  return Math.floor((LIMITS.bodyBytes - none) / (rosterBytes(1, exchanges, certified) - none));
}
