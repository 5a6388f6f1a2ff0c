/** The encoders, pretext tasks and augmentations that a plan may name. A new one is a file and a line here. */
import type { Plan } from '../protocol/plan.ts';
import { planError, unknownName } from '../protocol/plan-error.ts';
import { image } from './augmentation/image.ts';
import type { Augmentation, Encoder, PretextContext, PretextTask } from './contracts.ts';
import { conv } from './encoders/conv.ts';
import { mlp } from './encoders/mlp.ts';
import { resnet } from './encoders/resnet.ts';
import { vit } from './encoders/vit.ts';
import { barlowTwins } from './pretext/barlow-twins.ts';
import { byol } from './pretext/byol.ts';
import { mae } from './pretext/mae.ts';
import { moco } from './pretext/moco.ts';
import { rotation } from './pretext/rotation.ts';
import { simclr } from './pretext/simclr.ts';
import { simsiam } from './pretext/simsiam.ts';
import { spectral } from './pretext/spectral.ts';
import { swav } from './pretext/swav.ts';
import { vicreg } from './pretext/vicreg.ts';

const byName = <T extends { readonly name: string }>(...things: readonly T[]): ReadonlyMap<string, T> =>
  new Map(things.map((thing) => [thing.name, thing]));

export const encoders: ReadonlyMap<string, Encoder> = byName<Encoder>(mlp, conv, resnet, vit);
export const pretexts: ReadonlyMap<string, PretextTask> = byName<PretextTask>(
  spectral,
  simclr,
  moco,
  vicreg,
  barlowTwins,
  byol,
  simsiam,
  swav,
  rotation,
  mae,
);
export const augmentations: ReadonlyMap<string, Augmentation> = byName<Augmentation>(image);

type Named = Plan['encoder'];
type Key = 'encoder' | 'pretext' | 'augmentation';

function find<T>(table: ReadonlyMap<string, T>, key: Key, name: string): T {
  const found = table.get(name);
  if (found === undefined) throw unknownName(`${key}.name`, name, table.keys());
  return found;
}

/** @throws TacitError plan/unknown-name, listing the known ones */
export const encoderOf = (plan: Plan): Encoder => find(encoders, 'encoder', plan.encoder.name);
/** @throws TacitError plan/unknown-name, listing the known ones */
export const pretextOf = (plan: Plan): PretextTask => find(pretexts, 'pretext', plan.pretext.name);
/** @throws TacitError plan/unknown-name, listing the known ones */
export const augmentationOf = (plan: Plan): Augmentation => find(augmentations, 'augmentation', plan.augmentation.name);

/** The options of a named thing, checked by its own schema and with its defaults. @throws TacitError plan/invalid */
export function completeOptions(method: Encoder | PretextTask | Augmentation, key: Key, options: Named): Named {
  const parsed = method.schema.safeParse(options);
  if (!parsed.success) throw planError(parsed.error, options, `${key}.`);
  return parsed.data as Named;
}

/** What a pretext task is told about the rest of a complete plan. */
export const contextOf = (plan: Plan): PretextContext<unknown> => ({
  spec: plan.pretext,
  encoder: encoderOf(plan),
  encoderSpec: plan.encoder,
  shape: plan.data.shape,
  batch: plan.training.batch,
});
