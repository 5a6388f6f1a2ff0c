/** Public entry `tacit/learning`: plans, models, programs and engines. */
export type * from './contracts.ts';
export type { Engine, EngineChoice, Executable, Program } from './engine/engine.ts';
export { type Model, modelOf, parameterCount } from './model.ts';
export { type Composites, makeOps, type Ops } from './ops/ops.ts';
export { augmentations, completePlan, encoders, pretexts } from './registry.ts';
export { drawStep, encodeProgram, gradientProgram, initialState, learningRateAt, trainProgram } from './train-step.ts';
