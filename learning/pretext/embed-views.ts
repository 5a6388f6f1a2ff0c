/** Views through encoder and head in one pass: nothing in an encoder mixes examples, and one large product is faster. */
import type { Tensor } from '@tensorflow/tfjs';
import type { PretextContext, ViewInputs } from '../contracts.ts';
import { type DenseStack, denseApply } from '../encoders/dense-stack.ts';
import type { Tensors } from '../engine/engine.ts';
import type { Ops } from '../ops/ops.ts';
import { type ProjectorSpec, projectorStack } from './projector.ts';

/** [views · batch, dim] → the rows of each view, [batch, dim] */
export function splitViews({ tf }: Ops, rows: Tensor, views: number): Tensor[] {
  const batch = rows.shape[0]! / views;
  return Array.from({ length: views }, (_, i) => tf.slice(rows, [i * batch, 0], [batch, -1]));
}

/** Rows of all views through a head; one that normalises over the batch sees each view by itself. */
export function headOfViews(nn: Ops, params: Tensors, rows: Tensor, stack: DenseStack, views: number): Tensor {
  if (stack.normalisation !== 'batch') return denseApply(nn, params, rows, stack);
  return nn.tf.concat(
    splitViews(nn, rows, views).map((view) => denseApply(nn, params, view, stack)),
    0,
  );
}

/** @returns projections of all views, one view's rows after the other's: [views · batch, dim] */
export function projectViews(
  nn: Ops,
  { params, views }: ViewInputs,
  context: PretextContext<{ readonly projector: ProjectorSpec }>,
  groups: readonly [encoder: string, projector: string] = ['encoder', 'projector'],
): Tensor {
  const [encoder, projector] = groups.map((group) => params[group]!) as [Tensors, Tensors];
  const images = nn.tf.concat([...views], 0);
  const embedded = context.encoder.apply(nn, encoder, images, context.encoderSpec);
  return headOfViews(nn, projector, embedded, projectorStack(context.spec.projector, context), views.length);
}
