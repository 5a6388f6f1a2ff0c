/**
 * SimSiam: each view predicts the other's projection, which is held still (Chen & He 2021).
 * L = −½·cos(p₁, sg(z₂)) − ½·cos(p₂, sg(z₁)) with z = g(f(x)) and p = q(z): BYOL without a slow copy.
 */
import type { Tensor } from '@tensorflow/tfjs';
import { z } from 'zod';
import type { PretextTask } from '../contracts.ts';
import type { Ops } from '../ops/ops.ts';
import { crossCosine } from './cross-cosine.ts';
import { headOfViews, projectViews } from './embed-views.ts';
import {
  batchNormProjector,
  headGroup,
  predictorSchema,
  predictorStack,
  projectorGroup,
  projectorStack,
} from './projector.ts';

const schema = z.strictObject({
  name: z.literal('simsiam'),
  projector: batchNormProjector,
  /** A bottleneck, by default a quarter as wide as the projector. */
  predictor: predictorSchema(64),
});
type SimsiamSpec = z.infer<typeof schema>;

const predictorOf = ({ predictor, projector }: SimsiamSpec) => predictorStack(predictor, projector.dim);

/** Predictions and projections of both views, [2·batch, d] each, the second view's rows last → scalar. */
export const simsiamLoss = (nn: Ops, predictions: Tensor, projections: Tensor): Tensor =>
  nn.tf.neg(crossCosine(nn, predictions, projections));

export const simsiam: PretextTask<SimsiamSpec> = {
  name: 'simsiam',
  paper: 'Chen & He, CVPR 2021',
  schema,
  views: 2,
  lossRange: () => [-1, 1],
  groups: (context) => [
    projectorGroup(projectorStack(context.spec.projector, context)),
    headGroup('predictor', predictorOf(context.spec)),
  ],
  loss: (nn, inputs, context) => {
    const projections = projectViews(nn, inputs, context);
    const predictions = headOfViews(nn, inputs.params.predictor!, projections, predictorOf(context.spec), 2);
    return simsiamLoss(nn, predictions, projections);
  },
};
