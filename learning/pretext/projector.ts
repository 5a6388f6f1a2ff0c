/** The projection head of joint-embedding tasks: it takes the loss's distortions off the encoder (Chen et al. 2020, §4.2). */
import { z } from 'zod';
import type { Group, PretextContext } from '../contracts.ts';
import { type DenseStack, denseInit, denseManifest } from '../encoders/dense-stack.ts';

const width = z.int().min(1).max(8192);

export const projectorSchema = z
  .strictObject({
    hidden: z.array(width).max(4).default([256]),
    dim: width.default(128),
    normalisation: z.enum(['layer', 'none']).default('layer'),
  })
  .prefault({});
export type ProjectorSpec = z.infer<typeof projectorSchema>;

export const projectorStack = (
  spec: ProjectorSpec,
  context: Pick<PretextContext<unknown>, 'encoder' | 'encoderSpec'>,
): DenseStack => ({
  widths: [context.encoder.dim(context.encoderSpec), ...spec.hidden, spec.dim],
  normalisation: spec.normalisation,
});

/** The group `projector`: trained, averaged and replaced like the encoder. */
export function projectorGroup(stack: DenseStack): Group {
  return {
    name: 'projector',
    manifest: denseManifest(stack),
    init: (rng) => denseInit(rng, stack),
    trainable: true,
    aggregate: true,
    writeBack: 'global',
    persist: false,
  };
}
