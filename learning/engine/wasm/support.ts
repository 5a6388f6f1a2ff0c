/** What this machine's WebAssembly can do, asked with modules of a few bytes. */
import { f32x4, moduleBuilder, set } from './assembler.ts';

function validates(value: () => ReturnType<typeof f32x4.add>): boolean {
  const module = moduleBuilder();
  module.add([], (f) => set(f.local('v128'), value()));
  return WebAssembly.validate(module.finish({ pages: 1, shared: false }));
}

const one = f32x4.const(1);

/** 128-bit vectors, without which there is no engine of this folder. */
export const hasSimd = (): boolean => validates(() => f32x4.add(one, one));

/** Products and sums in one instruction. */
export const hasRelaxedSimd = (): boolean => validates(() => f32x4.relaxedMadd(one, one, one));
