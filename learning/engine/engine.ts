/**
 * The engine interface: something that executes programs. A program is a pure function over named tensors, written once
 * against `Ops` (tfjs and the composites of learning/ops); the eager engine runs it op by op, the compiled one traces it once.
 */
import type { Tensor } from '@tensorflow/tfjs';
import type { NamedArrays, NamedSpecs } from '../../protocol/tensors.ts';
import type { Ops } from '../ops/ops.ts';

export type Tensors = Readonly<Record<string, Tensor>>;

/**
 * A closed graph. `run` must be pure: every random number and every schedule comes in through `inputs`, and nothing is read back
 * inside. Outputs whose names are also inputs are *carried*: after a run they replace those inputs (parameters, moments, EMA
 * copies). All other outputs are returned to the caller.
 */
export interface Program {
  /** For errors and caches, e.g. `train:spectral:mlp`. Two programs of one name and equal specs must be the same graph. */
  readonly name: string;
  readonly inputs: NamedSpecs;
  /** @returns outputs; ownership passes to the engine. Called inside a `tidy`. */
  run(nn: Ops, inputs: Tensors): Tensors;
}

/** A program made ready, with the inputs that stay between runs held by the engine. */
export interface Executable {
  /**
   * Sets inputs that stay until they are set again: state before the first step, frozen tensors at the start of a round.
   * @throws TacitError weights/mismatch when a name or shape is not the program's
   */
  set(values: NamedArrays): Promise<void>;
  /** Runs once with the remaining inputs; carried outputs are kept inside, the others returned. */
  run(feeds: NamedArrays): Promise<NamedArrays>;
  /** Copies of inputs that are held: the state after training. */
  get(names: readonly string[]): Promise<NamedArrays>;
  /** Frees what the engine holds for this program; using it afterwards is a programmer error. */
  dispose(): void;
}

export interface Engine {
  /** `eager:wasm`, `eager:cpu`, `eager:tensorflow`, `compiled:cpu`, … as shown to people and stored with a run; changes if another took over. */
  readonly name: string;
  /** How it runs here, for a person: its threads, or why not a GPU. */
  readonly note?: string;
  load(program: Program): Promise<Executable>;
  /** Frees every executable. */
  close(): Promise<void>;
}

/** What a person may ask for with `--engine`. */
export type EngineChoice = 'auto' | 'compiled' | 'eager' | `eager:${string}`;
