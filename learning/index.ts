/** Public entry `tacit/learning`: plans, models, programs and engines; evaluation, fine-tuning and the training pool. */
export type * from './contracts.ts';
export type { Engine, EngineChoice, Executable, Program } from './engine/engine.ts';
export { createEngine, type EngineOptions, type SelectedEngine } from './engine/select.ts';
export { alignment, uniformity } from './evaluation/alignment-uniformity.ts';
export { accuracyOf, type Confusion, confusionMatrix, perClassAccuracy } from './evaluation/confusion.ts';
export { type Features, features, type LabelledFeatures, selectLabelled, selectRows } from './evaluation/features.ts';
export { type KnnOptions, knn } from './evaluation/knn.ts';
export {
  type LabelCurve,
  labelCurve,
  type ProbeCurve,
  type ProbeCurveInput,
  probeCurve,
  type ScoredCurve,
} from './evaluation/label-budget.ts';
export {
  accuracy,
  chooseProbe,
  type LinearProbe,
  linearProbe,
  linearProbes,
  type ProbeOptions,
  predict,
} from './evaluation/linear-probe.ts';
export { type PairedDifference, pairedDifferences } from './evaluation/paired-difference.ts';
export { rankMe, singularValues } from './evaluation/rank-me.ts';
export {
  classify,
  type FineTuning,
  fineTuneFeeds,
  fineTuneProgram,
  fineTuneState,
  headOf,
  zeroHead,
} from './fine-tuning.ts';
export { type StartingPoint, startingPoint, type WeightsReport, weightsLines } from './initial-weights.ts';
export { type Model, modelOf, parameterCount } from './model.ts';
export { type Composites, makeOps, type Ops } from './ops/ops.ts';
export { type FineTuneCurve, type FineTuneCurveInput, fineTuneCurve } from './pool/fine-tune-curve.ts';
export type { JobInput, JobName, JobOutput } from './pool/jobs.ts';
export type { LocalState } from './pool/local-state.ts';
export { closeAllPools, createPool, type PoolOptions } from './pool/pool.ts';
export type { RunOptions, TrainingPool } from './pool/scheduler.ts';
export { augmentations, completePlan, encoders, pretexts } from './registry.ts';
export { learningRateAt } from './schedule.ts';
export {
  drawStep,
  encodeProgram,
  gradientProgram,
  initialState,
  optimiserIn,
  parametersIn,
  scalarsAt,
  stateNames,
  trainProgram,
} from './train-step.ts';
