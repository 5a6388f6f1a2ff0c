/** What a kernel of this folder needs to know of the module that it is part of. */
import type { Constant, ElementType, Value } from '../onnx/graph.ts';
import type { Code } from './assembler.ts';

export interface Surroundings {
  readonly threads: number;
  /** a·b + c, as this machine does it. */
  readonly madd: (a: Code, b: Code, c: Code) => Code;
  /** Byte address of a buffer. */
  address(root: Value): number;
  dtype(root: Value): ElementType;
  constant(root: Value): Constant | undefined;
}
