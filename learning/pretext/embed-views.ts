/** Views through encoder and projector in one pass: nothing in them mixes examples, and one large product is faster. */
import type { Tensor } from '@tensorflow/tfjs';
import type { LossInputs, PretextContext } from '../contracts.ts';
import { denseApply } from '../encoders/dense-stack.ts';
import type { Ops } from '../ops/ops.ts';
import { type ProjectorSpec, projectorStack } from './projector.ts';

/** @returns projections of all views, one view's rows after the other's: [views · batch, dim] */
export function projectViews(
  nn: Ops,
  { params, views }: LossInputs,
  context: PretextContext<{ readonly projector: ProjectorSpec }>,
): Tensor {
  const images = nn.tf.concat([...views], 0);
  const embedded = context.encoder.apply(nn, params.encoder!, images, context.encoderSpec);
  return denseApply(nn, params.projector!, embedded, projectorStack(context.spec.projector, context));
}

/** [views · batch, dim] → the rows of each view, [batch, dim] */
export function splitViews({ tf }: Ops, rows: Tensor, views: number): Tensor[] {
  const batch = rows.shape[0]! / views;
  return Array.from({ length: views }, (_, i) => tf.slice(rows, [i * batch, 0], [batch, -1]));
}
