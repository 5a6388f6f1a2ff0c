/**
 * A small assembler for WebAssembly (https://webassembly.github.io/spec/core/binary): instructions are lists of bytes, built up as
 * expressions, and functions of them become the bytes of a module. Only what the kernels of this folder need is here: 32-bit
 * integers, vectors of four 32-bit lanes, one memory that the host hands in.
 */

/** Bytes of instructions; nested, so that putting parts together copies nothing. */
export type Code = number | readonly Code[];

export type ValueKind = 'i32' | 'f32' | 'v128';
const KIND = { i32: 0x7f, f32: 0x7d, v128: 0x7b } as const satisfies Record<ValueKind, number>;

/** A local variable of the function that made it. */
export interface Local {
  readonly index: number;
  readonly kind: ValueKind;
}

export interface FunctionRef {
  readonly index: number;
}

/** Unsigned and signed LEB128. */
export function unsigned(value: number): number[] {
  const bytes: number[] = [];
  for (let rest = value >>> 0; ; rest >>>= 7) {
    if (rest < 128) return [...bytes, rest];
    bytes.push((rest & 127) | 128);
  }
}
export function signed(value: number): number[] {
  const bytes: number[] = [];
  for (let rest = value | 0; ; rest >>= 7) {
    if (rest >= -64 && rest < 64) return [...bytes, rest & 127];
    bytes.push((rest & 127) | 128);
  }
}

const atomic = (op: number, ...args: Code[]): Code => [...args, 0xfe, op, 2, 0];
/** An access of memory at a computed address and a fixed distance from it. */
const at = (op: number, offset: number): Code => [0xfd, unsigned(op), 0, unsigned(offset)];

export const get = (local: Local): Code => [0x20, unsigned(local.index)];
export const set = (local: Local, value: Code): Code => [value, 0x21, unsigned(local.index)];
export const call = ({ index }: FunctionRef, ...args: Code[]): Code => [...args, 0x10, unsigned(index)];
/** Repeats its body while `branchIf` inside asks for it. */
export const loop = (...body: Code[]): Code => [0x03, 0x40, ...body, 0x0b];
export const when = (condition: Code, ...body: Code[]): Code => [condition, 0x04, 0x40, ...body, 0x0b];
/** Goes on at the start of the nth enclosing loop. */
export const branchIf = (depth: number, condition: Code): Code => [condition, 0x0d, unsigned(depth)];

const plain =
  (op: number) =>
  (...args: Code[]): Code => [...args, op];

export const i32 = {
  const: (value: number): Code => [0x41, signed(value)],
  add: plain(0x6a),
  sub: plain(0x6b),
  mul: plain(0x6c),
  and: plain(0x71),
  shl: plain(0x74),
  shrU: plain(0x76),
  eqz: plain(0x45),
  eq: plain(0x46),
  ne: plain(0x47),
  ltS: plain(0x48),
  gtS: plain(0x4a),
  load: (address: Code, offset = 0): Code => [address, 0x28, 2, unsigned(offset)],
  /** The first where the condition is not zero, else the second. */
  select: (a: Code, b: Code, condition: Code): Code => [a, b, condition, 0x1b],
  /** Memory that threads share. */
  atomicLoad: (address: Code): Code => atomic(0x10, address),
  atomicStore: (address: Code, value: Code): Code => atomic(0x17, address, value),
  /** @returns what was there before */
  atomicAdd: (address: Code, value: Code): Code => atomic(0x1e, address, value),
};

/** memory.fill and memory.copy. */
export const fillMemory = (at: Code, byte: Code, bytes: Code): Code => [at, byte, bytes, 0xfc, 11, 0];
export const copyMemory = (to: Code, from: Code, bytes: Code): Code => [to, from, bytes, 0xfc, 10, 0, 0];
/** Sleeps until it is woken at this address, unless another number than `expected` is there. */
export const wait = (address: Code, expected: Code): Code => [
  ...[address, expected, 0x42, 0x7f],
  ...[0xfe, 0x01, 2, 0, DROP],
];
/** Wakes all who wait at the address. */
export const notify = (address: Code): Code => [address, i32.const(-1), 0xfe, 0x00, 2, 0, DROP];
const DROP = 0x1a;

const lanes =
  (op: number) =>
  (...args: Code[]): Code => [...args, 0xfd, unsigned(op)];

export const v128 = {
  load: (address: Code, offset = 0): Code => [address, at(0x00, offset)],
  /** One number in all four lanes. */
  loadSplat: (address: Code, offset = 0): Code => [address, at(0x09, offset)],
  /** One number in the first lane, zeros in the others. */
  loadOne: (address: Code, offset = 0): Code => [address, at(0x5c, offset)],
  /** A number into one lane of a vector. */
  loadLane: (address: Code, vector: Code, lane: number, offset = 0): Code => [address, vector, at(0x56, offset), lane],
  store: (address: Code, value: Code, offset = 0): Code => [address, value, at(0x0b, offset)],
  storeLane: (address: Code, value: Code, lane: number, offset = 0): Code => [address, value, at(0x5a, offset), lane],
  const: (words: readonly number[]): Code => [0xfd, 0x0c, [...new Uint8Array(Int32Array.from(words).buffer)]],
  not: lanes(0x4d),
  and: lanes(0x4e),
  or: lanes(0x50),
  xor: lanes(0x51),
  /** Bits of the first where the mask has ones, else of the second. */
  select: (a: Code, b: Code, mask: Code): Code => lanes(0x52)(a, b, mask),
  /** Lanes of two vectors by number: 0–3 of the first, 4–7 of the second. */
  shuffle: (a: Code, b: Code, order: readonly [number, number, number, number]): Code => [
    ...[a, b, 0xfd, 0x0d],
    order.flatMap((lane) => [0, 1, 2, 3].map((byte) => 4 * lane + byte)),
  ],
};

const bits = new Int32Array(1);
const asFloat = new Float32Array(bits.buffer);

/** The bits of a float. */
export function floatBits(value: number): number {
  asFloat[0] = value;
  return bits[0]!;
}

/** Instructions on four floats. */
export const f32x4 = {
  const: (value: number): Code => v128.const(Array(4).fill(floatBits(value))),
  abs: lanes(0xe0),
  neg: lanes(0xe1),
  sqrt: lanes(0xe3),
  add: lanes(0xe4),
  sub: lanes(0xe5),
  mul: lanes(0xe6),
  div: lanes(0xe7),
  min: lanes(0xe8),
  max: lanes(0xe9),
  /** b < a ? b : a and a < b ? b : a: one instruction each, and the first where one is not a number. */
  pmin: lanes(0xea),
  pmax: lanes(0xeb),
  ceil: lanes(0x67),
  floor: lanes(0x68),
  nearest: lanes(0x6a),
  eq: lanes(0x41),
  ne: lanes(0x42),
  lt: lanes(0x43),
  gt: lanes(0x44),
  le: lanes(0x45),
  ge: lanes(0x46),
  fromInt: lanes(0xfa),
  /** a·b + c, rounded once where the processor can (relaxed SIMD). */
  relaxedMadd: lanes(0x105),
};

/** Instructions on two doubles. */
export const f64x2 = {
  add: lanes(0xf0),
  mul: lanes(0xf2),
};

/** Instructions on four 32-bit integers. */
export const i32x4 = {
  const: (value: number): Code => v128.const(Array(4).fill(value)),
  abs: lanes(0xa0),
  neg: lanes(0xa1),
  add: lanes(0xae),
  sub: lanes(0xb1),
  mul: lanes(0xb5),
  min: lanes(0xb6),
  max: lanes(0xb8),
  shl: (a: Code, by: number): Code => lanes(0xab)(a, i32.const(by)),
  shrS: (a: Code, by: number): Code => lanes(0xac)(a, i32.const(by)),
  eq: lanes(0x37),
  ne: lanes(0x38),
  lt: lanes(0x39),
  gt: lanes(0x3b),
  le: lanes(0x3d),
  ge: lanes(0x3f),
  /** Towards zero, saturating; 0 for what is not a number. */
  fromFloat: lanes(0xf8),
};

export interface FunctionBuilder {
  local(kind: ValueKind): Local;
}

/** Flattens nested code. */
function flatten(code: Code, into: number[]): number[] {
  if (typeof code === 'number') into.push(code);
  else for (const part of code) flatten(part, into);
  return into;
}

const vector = (items: readonly Code[]): Code => [unsigned(items.length), ...items];
const text = (value: string): Code => vector([...new TextEncoder().encode(value)]);
const sized = (code: Code): Code => {
  const bytes = flatten(code, []);
  return [unsigned(bytes.length), bytes];
};
const section = (id: number, content: Code): Code => [id, sized(content)];

export interface MemoryLimits {
  readonly pages: number;
  readonly shared: boolean;
}

/** A module under construction: functions are added, then it is written. */
export function moduleBuilder() {
  const functions: { params: readonly ValueKind[]; locals: ValueKind[]; body: Code; exported?: string }[] = [];
  return {
    /** Adds a function without results. */
    add(
      params: readonly ValueKind[],
      body: (f: FunctionBuilder, ...params: Local[]) => Code,
      exported?: string,
    ): FunctionRef {
      const locals: ValueKind[] = [];
      const builder: FunctionBuilder = {
        local(kind) {
          locals.push(kind);
          return { index: params.length + locals.length - 1, kind };
        },
      };
      const code = body(builder, ...params.map((kind, index) => ({ index, kind })));
      functions.push({ params, locals, body: code, ...(exported === undefined ? {} : { exported }) });
      return { index: functions.length - 1 };
    },
    finish({ pages, shared }: MemoryLimits): Uint8Array<ArrayBuffer> {
      const types = functions.map(({ params }) => [0x60, vector(params.map((kind) => KIND[kind])), 0]);
      const limits = shared ? [3, unsigned(pages), unsigned(pages)] : [0, unsigned(pages)];
      const memory = [text('env'), text('memory'), 2, limits];
      const exports = functions.flatMap(({ exported }, i) =>
        exported === undefined ? [] : [[text(exported), 0, unsigned(i)]],
      );
      const bodies = functions.map(({ locals, body }) =>
        sized([vector(locals.map((kind) => [1, KIND[kind]])), body, 0x0b]),
      );
      const code: Code = [
        [0, 97, 115, 109, 1, 0, 0, 0],
        section(1, vector(types)),
        section(2, vector([memory])),
        section(3, vector(functions.map((_, i) => unsigned(i)))),
        section(7, vector(exports)),
        section(10, vector(bodies)),
      ];
      return Uint8Array.from(flatten(code, []));
    },
  };
}

export type ModuleBuilder = ReturnType<typeof moduleBuilder>;
