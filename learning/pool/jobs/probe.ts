/** A label-budget curve of given features (evaluation/label-budget.ts), off the thread that holds the sockets. */
import { type ProbeCurve, type ProbeCurveInput, probeCurve } from '../../evaluation/label-budget.ts';
import type { JobContext } from '../job.ts';

/** @throws RangeError for rows or labels out of range */
export async function probe(input: ProbeCurveInput, context: JobContext): Promise<ProbeCurve> {
  return probeCurve(input, (done, total) => {
    context.checkpoint();
    context.progress({ done, total });
  });
}
