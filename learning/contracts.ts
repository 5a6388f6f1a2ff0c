/**
 * What an encoder, a pretext task, an augmentation and an optimiser are: values, not classes.
 * Each lives in one file under the folder of its kind and is entered in registry.ts. Those files import no engine: `Ops` is
 * handed in, so the coordinator can read manifests and initial weights without loading tfjs.
 */
import type { Tensor } from '@tensorflow/tfjs';
import type { z } from 'zod';
import type { Rng } from '../protocol/random.ts';
import type { NamedArrays, NamedSpecs, TensorSpec } from '../protocol/tensors.ts';
import type { Tensors } from './engine/engine.ts';
import type { Ops } from './ops/ops.ts';

/** Parameter names in the order in which they are flattened, with their shapes (all float32). */
export type Manifest = NamedSpecs;

/** Height, width, channels. */
export type ImageShape = readonly [number, number, number];

/** x: [batch, height, width, channels] in the plan's normalisation → z: [batch, dim(spec)]. */
export interface Encoder<Spec = unknown> {
  readonly name: string;
  readonly schema: z.ZodType<Spec>;
  /** Output dimension. */
  dim(spec: Spec): number;
  /** Names are relative (`dense0/kernel`); groups prefix them. @throws TacitError plan/refused if the shape cannot be encoded */
  manifest(spec: Spec, shape: ImageShape): Manifest;
  init(rng: Rng, spec: Spec, shape: ImageShape): NamedArrays;
  apply(nn: Ops, params: Tensors, x: Tensor, spec: Spec): Tensor;
}

/** What happens to one group of parameters in federation. */
export interface Group {
  /** Free name: encoder, projector, predictor, target, decoder, prototypes, queue, … */
  readonly name: string;
  readonly manifest: Manifest;
  init(rng: Rng): NamedArrays;
  /** Whether a gradient flows into it (false: moved by `afterStep` only, such as an EMA target or a queue). */
  readonly trainable: boolean;
  /** Whether its delta is part of the report. */
  readonly aggregate: boolean;
  /** What a participant does with it on receiving a new global model. */
  readonly writeBack: 'global' | 'local' | 'ema' | 'dapu';
  /** Whether a participant keeps its own copy between its rounds. */
  readonly persist: boolean;
  /** Group of equal names and shapes whose values it takes where a participant has none of its own: a target starts as its online network. */
  readonly startsAs?: string;
}

export interface PretextContext<Spec> {
  readonly spec: Spec;
  readonly encoder: Encoder;
  readonly encoderSpec: unknown;
  readonly shape: ImageShape;
  readonly batch: number;
}

/** Parameters by group: `params.encoder['dense0/kernel']`. */
export type GroupedTensors = Readonly<Record<string, Tensors>>;

export interface LossInputs {
  /** All groups; gradients are taken with respect to the trainable ones. */
  readonly params: GroupedTensors;
  /** Fixed within a round, as `frozen` of the task declares: `global/<group>/…`, statistics of a strategy. */
  readonly frozen: Tensors;
  /** The batch before augmentation: [batch, h, w, c], normalised. */
  readonly images: Tensor;
  /** `views` augmented images, each [batch, h, w, c]. */
  readonly views: readonly Tensor[];
  /** What `draws` of this task drew. */
  readonly draws: Tensors;
  /** EMA rate and the like, by name; learning rate excluded. */
  readonly scalars: Tensors;
}

/** What a loss takes that depends on views alone. */
export type ViewInputs = Pick<LossInputs, 'params' | 'views'>;

/**
 * A loss that depends on the other examples only through a mean of bounded terms. Participants that share this mean get the gradient
 * of the loss on all their data together as a weighted sum of their own gradients, whoever holds what.
 */
export interface SharedStatistics<Spec = unknown> {
  /** Shape of the mean in a graph. */
  spec(context: PretextContext<Spec>): TensorSpec;
  /** What of it is sent: so many values, of at most this L2 norm. */
  report(context: PretextContext<Spec>): { readonly length: number; readonly bound: number };
  /** From the mean to what is sent, and back; keeps the L2 norm. */
  pack(mean: ArrayLike<number>, context: PretextContext<Spec>): Float32Array;
  unpack(packed: ArrayLike<number>, context: PretextContext<Spec>): Float32Array;
  /** Interval outside of which no value of `loss` lies; reported losses are clamped to it. */
  lossRange(context: PretextContext<Spec>): readonly [number, number];
  /** The mean over the views of the batch. */
  measure(nn: Ops, inputs: LossInputs, context: PretextContext<Spec>): Tensor;
  /** The participant's share of the loss on all data. @returns scalar */
  loss(nn: Ops, inputs: LossInputs, context: PretextContext<Spec>, shared: Shared): Tensor;
  /**
   * The loss on all data where they are in one place, with a weight for each image of the batch; takes nothing from a round.
   * @param weights [batch], adding up to 1
   * @returns scalar
   */
  pooledLoss(nn: Ops, inputs: ViewInputs, context: PretextContext<Spec>, weights: Tensor): Tensor;
}

/**
 * What a participant knows of the mean of everybody while it trains. It takes the mean to be everybody + share · (its own now − own):
 * with share 0 it stays as it was measured, with share pₖ it follows the participant's own part in it.
 */
export interface Shared {
  /** Σ pₖ·meanₖ, as it was measured at the start of the round. */
  readonly everybody: Tensor;
  /** This participant's own mean in it. */
  readonly own: Tensor;
  /** [] */
  readonly share: Tensor;
}

/** A self-supervised objective. The loss must not depend on labels. */
export interface PretextTask<Spec = unknown> {
  readonly name: string;
  /** Where it was published. */
  readonly paper: string;
  readonly schema: z.ZodType<Spec>;
  /** Number of augmented views of each image; 0 for tasks that transform images themselves. */
  readonly views: number;
  /** Interval outside of which no loss of this task lies in practice; reported losses are clamped to it. */
  lossRange(context: PretextContext<Spec>): readonly [number, number];
  /** Groups besides `encoder`. */
  groups(context: PretextContext<Spec>): readonly Group[];
  /** Shapes of the task's own random draws, and the drawing. */
  draws?: {
    specs(context: PretextContext<Spec>): NamedSpecs;
    draw(rng: Rng, context: PretextContext<Spec>): NamedArrays;
  };
  /** Names of further scalars, and their values at a fraction (0…1) of the whole run. */
  scalars?(context: PretextContext<Spec>, progress: number): Readonly<Record<string, number>>;
  /** Names and shapes of tensors that are fixed within a round. */
  frozen?(context: PretextContext<Spec>): NamedSpecs;
  /** @returns the scalar loss */
  loss(nn: Ops, inputs: LossInputs, context: PretextContext<Spec>): Tensor;
  /** What participants may share so that the loss of each counts the others' data (strategy `shared-statistics`). */
  statistics?: SharedStatistics<Spec>;
  /** New values of groups that no gradient moves (EMA target, queue, centre), computed after the optimiser's update. */
  afterStep?(nn: Ops, inputs: LossInputs, context: PretextContext<Spec>): GroupedTensors;
}

/** Random views of images: parameters drawn in plain JS from a seeded generator, applied in the graph. */
export interface Augmentation<Spec = unknown> {
  readonly name: string;
  readonly schema: z.ZodType<Spec>;
  /** Shapes of the draws for one view of a batch. */
  specs(spec: Spec, shape: ImageShape, batch: number): NamedSpecs;
  draw(rng: Rng, spec: Spec, shape: ImageShape, batch: number): NamedArrays;
  /** [batch, h, w, c] in [0, 1] before normalisation → the same shape. */
  apply(nn: Ops, images: Tensor, draws: Tensors, spec: Spec): Tensor;
}

/** An optimiser over named parameters: two pure functions. State names start with the parameter's name. */
export interface Optimiser {
  readonly name: string;
  /** Shapes of the state for these parameters; it starts at zero. */
  state(manifest: Manifest): NamedSpecs;
  /** @returns new parameters and new state */
  apply(
    nn: Ops,
    params: Tensors,
    grads: Tensors,
    state: Tensors,
    learningRate: Tensor,
  ): { params: Tensors; state: Tensors };
}
