/** What a participant keeps between its rounds (groups of its own, the optimiser's moments), as a safetensors file in its store. */
import type { LocalState } from '../learning/pool/local-state.ts';
import { decodeSafetensors, encodeSafetensors } from '../protocol/safetensors.ts';
import type { ParticipantStore } from './store.ts';

/** The state under `name`; nothing if there is none or it cannot be read, since it can be learnt again. */
export async function readState(store: ParticipantStore, name: string): Promise<LocalState | undefined> {
  const bytes = await store.read(name);
  if (!bytes) return undefined;
  try {
    const { arrays, metadata } = decodeSafetensors(bytes);
    const { arrays: _none, ...facts } = JSON.parse(metadata.state ?? '') as LocalState;
    return { ...facts, arrays };
  } catch {
    return undefined;
  }
}

/** Keeps `state` for the next round, also across a restart. */
export function writeState(store: ParticipantStore, name: string, state: LocalState): Promise<void> {
  const { arrays, ...facts } = state;
  return store.write(name, encodeSafetensors(arrays, { state: JSON.stringify(facts) }));
}
