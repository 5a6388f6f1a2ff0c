/** Groups of ONNX's operators that rewrites treat alike. */
const named = (names: string): ReadonlySet<string> => new Set(names.split(' '));

/** From floats to floats of the same shape, element by element; inputs after the first are numbers. */
export const FLOAT_FUNCTIONS = named('Relu Neg Exp Log Sqrt Reciprocal Abs Sign Erf Tanh Sigmoid HardSigmoid Clip');

/** The same, also from or to other types, or rarer. */
export const UNARY: ReadonlySet<string> = new Set([
  ...FLOAT_FUNCTIONS,
  ...named('Cast Not Softplus Elu Selu LeakyRelu Floor Ceil Identity'),
]);

/** Element by element over operands of which each may be broadcast. Not PRelu: its first one may not. */
export const BROADCASTING = named(
  'Add Sub Mul Div Pow Max Min Where Equal Less LessOrEqual Greater GreaterOrEqual And Or Mod Sum',
);
