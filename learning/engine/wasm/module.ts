/**
 * A program as one WebAssembly module: a function for each group of operations, addresses and sizes written into it, and one
 * function that calls them in order. Every thread runs that function; they wait for each other after what they shared, and the first
 * thread alone does what is too small to share. Each number is computed by one thread in one order, so results do not depend on
 * how many there are.
 */
import { type Constant, expand, type Graph, type Value } from '../onnx/graph.ts';
import {
  branchIf,
  type Code,
  call,
  copyMemory,
  type FunctionBuilder,
  type FunctionRef,
  f32x4,
  get,
  i32,
  type Local,
  loop,
  type ModuleBuilder,
  moduleBuilder,
  notify,
  set,
  wait,
  when,
} from './assembler.ts';
import { convolution, convolutionScratch, packFilters } from './convolutions.ts';
import { clearGradient, filterGradient, filterGradientScratch } from './filter-gradients.ts';
import { gather } from './gather.ts';
import { type Group, groupsOf } from './groups.ts';
import { type MemoryPlan, planMemory } from './memory.ts';
import { microKernels, type Tile } from './micro-kernel.ts';
import { nestOf } from './nest.ts';
import { type Operation, type Program, Uncovered } from './operations.ts';
import { product, productScratch } from './products.ts';
import { resolve } from './resolve.ts';
import type { Surroundings } from './surroundings.ts';

/** Code for one thread, whose number is in `thread`; all threads run it if it is shared. */
export interface Kernel {
  readonly shared: boolean;
  code(f: FunctionBuilder, thread: Local): Code;
}

/** What kernels are made with. */
export interface Workshop extends Surroundings {
  kernel(tile: Tile): FunctionRef;
  scratch(operation: Operation): number;
  /** Address of a thread's own part of the memory from `base` on. */
  threadScratch(base: number, thread: Local, bytes: number): Code;
}

export interface ModuleOptions {
  readonly threads: number;
  /** Whether products and sums may be rounded once (relaxed SIMD), which takes half the instructions. */
  readonly relaxed: boolean;
  /** Whether the first thread may sleep while it waits for the others; a page's own thread must not. */
  readonly sleeps: boolean;
}

export interface CompiledModule {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly pages: number;
  /** Byte addresses by name; a carried tensor's is the same in both. */
  readonly inputs: Readonly<Record<string, number>>;
  readonly outputs: Readonly<Record<string, number>>;
  readonly constants: readonly { readonly address: number; readonly data: Float32Array | Int32Array }[];
}

const PAGE = 65536;
/** What 32-bit addresses reach, with a margin for offsets. */
const MOST_PAGES = 32768;
const ARRIVED = 64;
const GENERATION = 128;
const FIRST_FREE = 1024;
/** Looks before a thread that waits goes to sleep. */
const PATIENCE = 200_000;

/** Waits until all threads are here: a while by looking, then asleep. */
function barrier(module: ModuleBuilder, { threads, sleeps }: ModuleOptions): FunctionRef {
  return module.add(['i32'], (f, thread) => {
    const [generation, looks] = [f.local('i32'), f.local('i32')];
    const unchanged = i32.eq(i32.atomicLoad(i32.const(GENERATION)), get(generation));
    const isLast = i32.eq(i32.atomicAdd(i32.const(ARRIVED), i32.const(1)), i32.const(threads - 1));
    const release = [
      i32.atomicStore(i32.const(ARRIVED), i32.const(0)),
      i32.atomicStore(i32.const(GENERATION), i32.add(get(generation), i32.const(1))),
      notify(i32.const(GENERATION)),
    ];
    const isOver = i32.gtS(get(looks), i32.const(PATIENCE));
    const mayNotSleep = i32.eqz(get(thread));
    const look = loop(
      set(looks, i32.add(get(looks), i32.const(1))),
      when(sleeps ? isOver : i32.and(isOver, i32.eqz(mayNotSleep)), wait(i32.const(GENERATION), get(generation))),
      branchIf(0, unchanged),
    );
    return [set(generation, i32.atomicLoad(i32.const(GENERATION))), [isLast, 0x04, 0x40, release, 0x05, look, 0x0b]];
  });
}

const scratchOf = ({ operations }: Group, threads: number): number => {
  const [operation] = operations as [Operation];
  if (operation.kind === 'product') return threads * productScratch(operation);
  if (operation.kind === 'filter-gradient') return threads * filterGradientScratch(operation);
  if (operation.kind !== 'convolution') return 0;
  const { filters, image } = convolutionScratch(operation);
  return filters + threads * image;
};

/** The kernels of a group, in order. */
function kernelsOf(group: Group, shop: Workshop): Kernel[] {
  const [operation] = group.operations as [Operation];
  switch (operation.kind) {
    case 'product':
      return [product(shop, operation)];
    case 'convolution':
      return [packFilters(shop, operation), convolution(shop, operation)];
    case 'filter-gradient':
      return [clearGradient(shop, operation), filterGradient(shop, operation)];
    case 'gather':
      return [gather(shop, operation)];
    case 'map':
    case 'reduce':
      return [nestOf(group, shop)];
  }
}

/** All numbers of a constant as four-byte lanes. */
function numbersOf(constant: Constant): Float32Array | Int32Array {
  const all = expand(constant);
  if (all instanceof Float32Array || all instanceof Int32Array) return all;
  if (all instanceof BigInt64Array) return Int32Array.from(all, Number);
  return Int32Array.from(all, (truth) => (truth ? -1 : 0));
}

/** Constants that are in memory: those that some kernel reads number by number. */
function constantsOf({ operations, constants }: Program): Value[] {
  const read = new Set(
    operations.flatMap(({ kind, inputs }) =>
      inputs
        .filter(({ root }) => !((kind === 'map' || kind === 'reduce') && constants.get(root)?.data.length === 1))
        .map(({ root }) => root),
    ),
  );
  return [...constants.keys()].filter((root) => read.has(root));
}

interface Parts {
  readonly graph: Graph;
  readonly program: Program;
  readonly groups: readonly Group[];
  readonly memory: MemoryPlan;
}

function plan(graph: Graph, threads: number): Parts {
  const program = resolve(graph);
  const groups = groupsOf(program);
  const inputs = new Map(graph.inputs.map(({ name, value }) => [name, value]));
  const carried = new Map(
    graph.outputs.flatMap(({ name }, i) =>
      inputs.has(name) ? [[program.outputs[i]!, inputs.get(name)!] as const] : [],
    ),
  );
  const kept = [...inputs.values(), ...constantsOf(program)];
  const scratch = groups.map((group) => scratchOf(group, threads));
  const memory = planMemory({ program, groups, kept, carried, scratch, from: FIRST_FREE });
  if (memory.bytes > MOST_PAGES * PAGE) throw new Uncovered(`${Math.ceil(memory.bytes / 2 ** 30)} GiB of memory`);
  return { graph, program, groups, memory };
}

function workshop(module: ModuleBuilder, { program, groups, memory }: Parts, options: ModuleOptions): Workshop {
  const madd: Surroundings['madd'] = options.relaxed ? f32x4.relaxedMadd : (a, b, c) => f32x4.add(f32x4.mul(a, b), c);
  const groupOf = new Map(groups.flatMap(({ operations }, i) => operations.map((operation) => [operation, i])));
  return {
    threads: options.threads,
    madd,
    address: memory.address,
    dtype: (root) => program.types.get(root)!.dtype,
    constant: (root) => program.constants.get(root),
    kernel: microKernels(module, madd),
    scratch: (operation) => memory.scratch(groupOf.get(operation)!),
    threadScratch: (base, thread, bytes) => i32.add(i32.const(base), i32.mul(get(thread), i32.const(bytes))),
  };
}

/** What is carried but could not be written in place. */
function copyKernel({ program, memory }: Parts): Kernel {
  const code = (): Code =>
    memory.copies.map(({ from, to }) => {
      const bytes = program.types.get(to)!.shape.reduce((n, d) => n * d, 4);
      return copyMemory(i32.const(memory.address(to)), i32.const(memory.address(from)), i32.const(bytes));
    });
  return { shared: false, code };
}

/** The function that every thread runs. */
function addRun(module: ModuleBuilder, kernels: readonly Kernel[], options: ModuleOptions): void {
  const functions = kernels.map(({ code }) => module.add(['i32'], (f, thread) => code(f, thread)));
  const meet = options.threads > 1 ? barrier(module, options) : undefined;
  module.add(
    ['i32'],
    (_, thread) => {
      if (!meet) return functions.map((kernel) => call(kernel, get(thread)));
      const waiting = call(meet, get(thread));
      return functions.map((kernel, i) => {
        const work = call(kernel, get(thread));
        if (kernels[i]!.shared) return [work, waiting];
        const next = kernels[i + 1];
        return [when(i32.eqz(get(thread)), work), !next || next.shared ? waiting : []];
      });
    },
    'run',
  );
}

/**
 * The module of a graph that has been lowered (lower.ts).
 * @throws Uncovered when an operator, or its shape, has no kernel here
 */
export function compileModule(graph: Graph, options: ModuleOptions): CompiledModule {
  const { threads } = options;
  const parts = plan(graph, threads);
  const { program, groups, memory } = parts;
  const module = moduleBuilder();
  const shop = workshop(module, parts, options);
  const kernels = [...groups.flatMap((group) => kernelsOf(group, shop)), copyKernel(parts)];
  addRun(module, kernels, options);
  const pages = Math.ceil(memory.bytes / PAGE) + 1;
  return {
    bytes: module.finish({ pages, shared: threads > 1 }),
    pages,
    inputs: Object.fromEntries(graph.inputs.map(({ name, value }) => [name, memory.address(value)])),
    outputs: Object.fromEntries(graph.outputs.map(({ name }, i) => [name, memory.address(program.outputs[i]!)])),
    constants: constantsOf(program).map((root) => ({
      address: memory.address(root),
      data: numbersOf(program.constants.get(root)!),
    })),
  };
}
