/**
 * Slow copies of the online network: groups that no gradient moves, which start as their online group and follow it by an
 * exponential moving average (He et al. 2020, Grill et al. 2020). They never leave a participant.
 */
import type { Tensor } from '@tensorflow/tfjs';
import type { Group, GroupedTensors, PretextContext } from '../contracts.ts';
import type { Tensors } from '../engine/engine.ts';
import type { Ops } from '../ops/ops.ts';

/** Names of the slow copies of encoder and projector. */
export type Slow = readonly [encoder: string, projector: string];

const slowCopy = (name: string, online: Pick<Group, 'name' | 'manifest' | 'init'>, persist: boolean): Group => ({
  ...online,
  name,
  trainable: false,
  aggregate: false,
  writeBack: 'local',
  persist,
  startsAs: online.name,
});

/** Slow copies of the encoder and of `projector`; those that do not persist are the online network's at the start of each round. */
export function slowGroups(
  [encoderName, projectorName]: Slow,
  { encoder, encoderSpec, shape }: PretextContext<unknown>,
  projector: Group,
  persist: boolean,
): Group[] {
  const online = {
    name: 'encoder',
    manifest: encoder.manifest(encoderSpec, shape),
    init: (rng: Parameters<Group['init']>[0]) => encoder.init(rng, encoderSpec, shape),
  };
  return [slowCopy(encoderName, online, persist), slowCopy(projectorName, projector, persist)];
}

/** momentum · slow + (1 − momentum) · online, tensor by tensor */
const follow = ({ tf }: Ops, slow: Tensors, online: Tensors, momentum: Tensor): Tensors =>
  Object.fromEntries(
    Object.entries(slow).map(([name, value]) => [
      name,
      tf.add(online[name]!, tf.mul(tf.sub(value, online[name]!), momentum)),
    ]),
  );

/** The slow groups after a step, for `afterStep`. */
export const followOnline = (nn: Ops, params: GroupedTensors, slow: Slow, momentum: Tensor): GroupedTensors =>
  Object.fromEntries(
    (['encoder', 'projector'] as const).map((online, i) => [
      slow[i]!,
      follow(nn, params[slow[i]!]!, params[online]!, momentum),
    ]),
  );
