/** What a coordinator does, as Prometheus metrics. Sums and counts only: nothing names a participant. */
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { Status } from './coordinator-options.ts';
import type { CoordinatorEvent } from './events.ts';

export interface Metrics {
  readonly onEvent: (event: CoordinatorEvent) => void;
  /** Prometheus text. */
  text(): Promise<string>;
}

/** @param status read when the metrics are asked for */
export function coordinatorMetrics(status: () => Status): Metrics {
  const registers = [new Registry()];
  const [registry] = registers as [Registry];
  const gauge = (name: string, help: string) => new Gauge({ name: `tacit_${name}`, help, registers });
  const counter = <L extends string>(name: string, help: string, labelNames: L[] = []) =>
    new Counter({ name: `tacit_${name}_total`, help, labelNames, registers });

  const participants = gauge('participants', 'Participants that have joined and are connected.');
  const round = gauge('round', 'Rounds committed so far.');
  const loss = gauge('loss', 'Mean pretext loss of the last committed round.');
  const updateNorm = gauge('update_norm', 'L2 norm of the last change of the global model.');
  const memory = gauge('resident_memory_bytes', 'Resident memory of the process.');
  const committed = counter('rounds_committed', 'Rounds that were committed.');
  const failed = counter('attempts_failed', 'Attempts at rounds that came to nothing.', ['code']);
  const reports = counter('reports', 'Reports that were verified and added.');
  const refused = counter('requests_refused', 'Requests that were answered with an error.', ['request', 'code']);
  const dropped = counter('connections_dropped', 'Connections ended for what their peer sent.', ['code']);
  const traffic = new Gauge({
    name: 'tacit_traffic_bytes',
    help: 'Bytes of frames from (up) and to (down) participants since the start.',
    labelNames: ['direction'],
    registers,
  });
  const seconds = new Histogram({
    name: 'tacit_round_seconds',
    help: 'Duration of committed rounds.',
    buckets: [0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000],
    registers,
  });

  const onEvent = (event: CoordinatorEvent): void => {
    if (event.type === 'report') reports.inc();
    else if (event.type === 'refused') refused.inc({ request: event.request, code: event.code });
    else if (event.type === 'dropped') dropped.inc({ code: event.code });
    else if (event.type === 'failed') failed.inc({ code: event.code });
    else if (event.type === 'committed') {
      committed.inc();
      loss.set(event.summary.loss);
      updateNorm.set(event.summary.updateNorm);
      seconds.observe(event.summary.seconds);
    }
  };
  const text = (): Promise<string> => {
    const now = status();
    participants.set(now.participants);
    round.set(now.round);
    traffic.set({ direction: 'up' }, now.bytesUp);
    traffic.set({ direction: 'down' }, now.bytesDown);
    memory.set(process.memoryUsage.rss());
    return registry.metrics();
  };
  return { onEvent, text };
}
