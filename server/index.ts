/**
 * `tacit/server`: the coordinator of a federated run.
 * `serve` is a whole server in one call; `createCoordinator` is the part that knows no network, for tests, simulations and other
 * transports. Nothing here loads an engine: fine-tuning does, when it is asked for.
 */
export type { Clock } from './clock.ts';
export { type Sampler, uniformSampler } from './cohort.ts';
export { createCoordinator } from './coordinator.ts';
export type { Coordinator, CoordinatorOptions, Status } from './coordinator-options.ts';
export type { CoordinatorEvent, RoundSummary, RunResult } from './events.ts';
export { type FineTuneOptions, fineTune } from './fine-tune.ts';
export { createHttp, type Http, type HttpOptions } from './http.ts';
export { createLogger, type Logger, type LogLevel, logEvents } from './log.ts';
export { coordinatorMetrics, type Metrics } from './metrics.ts';
export { type ServeOptions, serve, type TacitServer } from './serve.ts';
export { type SocketOptions, socketListener } from './socket-io.ts';
export { lmdbStore } from './store/lmdb.ts';
export { memoryStore } from './store/memory.ts';
export type { Commit, CommitSummary, LedgerEntry, Store } from './store/store.ts';
export type { Strategy, StrategyInputs, StrategyOutputs } from './strategies/strategy.ts';
