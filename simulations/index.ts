/** Public entry `tacit/simulations`: the main job and federations of virtual participants, in one process. */
export { type FederationOptions, type FederationRun, runFederation } from './federation.ts';
export { type InversionOptions, type InversionResult, runInversion, type Scene } from './inversion/experiment.ts';
export { inversionPage } from './inversion/page.ts';
export { SILENT, type SimulationIo } from './io.ts';
export { type MainJobOptions, runMainJob } from './main-job.ts';
export type { MainJobResult, Partition, RowName } from './result.ts';
export { type SimulateOptions, type SimulationResult, simulate } from './simulate.ts';
