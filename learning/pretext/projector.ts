/** The heads of joint-embedding tasks: they take the loss's distortions off the encoder (Chen et al. 2020, §4.2). */
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

/** Heads of self-distilling tasks normalise over the batch unless told otherwise: without that they collapse (Grill et al. 2020). */
const batchNormalised = z.enum(['batch', 'layer', 'none']).default('batch');

export const batchNormProjector = z
  .strictObject({
    hidden: z.array(width).max(4).default([256]),
    dim: width.default(128),
    normalisation: batchNormalised,
  })
  .prefault({});

/** A predictor maps projections to projections, so it has their length. */
export const predictorSchema = (hidden: number) =>
  z.strictObject({ hidden: z.array(width).max(4).default([hidden]), normalisation: batchNormalised }).prefault({});

export interface ProjectorSpec {
  readonly hidden: readonly number[];
  readonly dim: number;
  readonly normalisation: DenseStack['normalisation'];
}

type EncoderContext = Pick<PretextContext<unknown>, 'encoder' | 'encoderSpec'>;

export const projectorStack = (spec: ProjectorSpec, { encoder, encoderSpec }: EncoderContext): DenseStack => ({
  widths: [encoder.dim(encoderSpec), ...spec.hidden, spec.dim],
  normalisation: spec.normalisation,
});

export const predictorStack = (spec: Omit<ProjectorSpec, 'dim'>, dim: number): DenseStack => ({
  widths: [dim, ...spec.hidden, dim],
  normalisation: spec.normalisation,
});

/** A head that is trained, averaged and replaced like the encoder. */
export const headGroup = (name: string, stack: DenseStack): Group => ({
  name,
  manifest: denseManifest(stack),
  init: (rng) => denseInit(rng, stack),
  trainable: true,
  aggregate: true,
  writeBack: 'global',
  persist: false,
});

export const projectorGroup = (stack: DenseStack): Group => headGroup('projector', stack);
