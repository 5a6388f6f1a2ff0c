/**
 * Central fine-tuning of the final model on a few labelled examples. The training pool, and with it an engine, is loaded when this
 * is called and not before; it trains in workers, so a coordinator that still serves its participants is not held up.
 */
import type { SourceSpec } from '../learning/data/source.ts';
import type { EngineChoice } from '../learning/engine/engine.ts';
import type { FineTuneOutput } from '../learning/pool/jobs/fine-tune.ts';
import type { Plan } from '../protocol/plan.ts';
import { decodeSafetensors } from '../protocol/safetensors.ts';

export interface FineTuneOptions {
  /** Labelled examples; their groups are the classes. */
  readonly train: SourceSpec;
  readonly classes: number;
  /** Labelled examples to be scored on, before and after, by name. */
  readonly score?: Readonly<Record<string, SourceSpec>>;
  /** Default: the plan's. */
  readonly seed?: number;
  readonly engine?: EngineChoice;
  readonly signal?: AbortSignal;
}

/**
 * Fine-tunes the encoder of `model` (a run's result) as the plan's `fineTuning` says.
 * @returns accuracy[name] = [before, after], and `model` with `encoder/…` and `head/…`
 * @throws TacitError weights/mismatch, data/*, engine/unavailable
 */
export async function fineTune(plan: Plan, model: Uint8Array, options: FineTuneOptions): Promise<FineTuneOutput> {
  const { train, classes, score = {}, seed = plan.seed, engine, signal } = options;
  const { method, steps, batch, optimiser } = plan.fineTuning;
  const { createPool } = await import('../learning/pool/pool.ts');
  const pool = await createPool({ workers: 1, ...(engine === undefined ? {} : { engine }) });
  try {
    return await pool.run(
      'fine-tune',
      {
        plan,
        tuning: { method, classes, batch, optimiser },
        model: decodeSafetensors(model).arrays,
        train,
        score,
        at: [0, steps],
        seed,
        keep: true,
      },
      signal === undefined ? {} : { signal },
    );
  } finally {
    await pool.close();
  }
}
