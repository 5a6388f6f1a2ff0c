/**
 * A compiled module as an executable: state stays in its memory, a run copies what it is fed in and what it returns out. A memory that
 * is given up is kept for the next executable of the same program, since a participant loads it anew each round.
 */
import { type NamedArrays, type NamedSpecs, type NDArray, sizeOf } from '../../../protocol/tensors.ts';
import type { Executable, Program } from '../engine.ts';
import { checkInput, mismatch } from '../program-inputs.ts';
import type { CompiledModule } from './module.ts';
import type { Team } from './team.ts';

/** A program that was compiled once. */
export interface Compiled {
  readonly layout: CompiledModule;
  readonly module: WebAssembly.Module;
  readonly outputs: NamedSpecs;
}

/** A module with a memory of its own, known to all threads. */
export interface Instance {
  readonly floats: Float32Array;
  readonly integers: Int32Array;
  run(): void;
  release(): void;
}

export async function instantiate({ layout, module }: Compiled, team: Team): Promise<Instance> {
  const { pages, constants } = layout;
  const shared = team.threads > 1;
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared });
  const { exports } = await WebAssembly.instantiate(module, { env: { memory } });
  const others = await team.attach({ module, memory });
  const [floats, integers] = [new Float32Array(memory.buffer), new Int32Array(memory.buffer)];
  for (const { address, data } of constants)
    if (data instanceof Float32Array) floats.set(data, address / 4);
    else integers.set(data, address / 4);
  return {
    ...{ floats, integers },
    run: () => {
      others.run();
      (exports.run as (thread: number) => void)(0);
    },
    release: others.detach,
  };
}

/** @param giveBack takes the instance once the executable is disposed of */
export function wasmExecutable(
  program: Program,
  { layout, outputs }: Compiled,
  { floats, integers, run }: Instance,
  giveBack: () => void,
): Executable {
  const held = new Set<string>();
  let disposed = false;
  const put = (name: string, array: NDArray): void => {
    checkInput(program, name, array);
    const to = layout.inputs[name]! / 4;
    if (array.data instanceof Float32Array) floats.set(array.data, to);
    else integers.set(array.data, to);
  };
  const read = (address: number, { shape, dtype }: NamedSpecs[string]): NDArray => {
    const [from, size] = [address / 4, sizeOf(shape)];
    return { shape, dtype, data: (dtype === 'int32' ? integers : floats).slice(from, from + size) };
  };
  const readHeld = (name: string): NDArray => {
    if (!held.has(name)) throw mismatch(program, name, 'is not held');
    return read(layout.inputs[name]!, program.inputs[name]!);
  };
  const isCarried = (name: string): boolean => outputs[name] !== undefined;

  const once = (given: NamedArrays): NamedArrays => {
    if (disposed) throw new RangeError(`${program.name} was disposed`);
    for (const [name, array] of Object.entries(given)) checkInput(program, name, array);
    for (const name of Object.keys(program.inputs))
      if (!Object.hasOwn(given, name) && !held.has(name)) throw mismatch(program, name, 'is missing');
    // what is held is fed for this run only
    const before = Object.keys(given)
      .filter((name) => held.has(name) && !isCarried(name))
      .map((name) => [name, readHeld(name)] as const);
    for (const [name, array] of Object.entries(given)) put(name, array);
    run();
    for (const [name, array] of before) put(name, array);
    const results: Record<string, NDArray> = {};
    for (const [name, spec] of Object.entries(outputs))
      if (program.inputs[name]) held.add(name);
      else results[name] = read(layout.outputs[name]!, spec);
    return results;
  };

  return {
    set: async (values) => {
      if (disposed) throw new RangeError(`${program.name} was disposed`);
      for (const [name, array] of Object.entries(values)) {
        put(name, array);
        held.add(name);
      }
    },
    run: async (given) => once(given),
    get: async (names) => Object.fromEntries(names.map((name) => [name, readHeld(name)])),
    dispose: () => {
      if (disposed) return;
      disposed = true;
      held.clear();
      giveBack();
    },
  };
}
