/**
 * BYOL: the online network predicts what a slow copy of itself makes of the other view (Grill et al. 2020).
 * L = 2 − 2·cos(q(g(f(x₁))), ḡ(f̄(x₂))), the mean of both directions. In federation as FedU has it (Zhuang et al., ICCV 2021): the
 * slow copy stays with its participant, and a participant that drifted far keeps its own predictor.
 */
import type { Tensor } from '@tensorflow/tfjs';
import { z } from 'zod';
import type { PretextTask } from '../contracts.ts';
import type { Ops } from '../ops/ops.ts';
import { crossCosine } from './cross-cosine.ts';
import { headOfViews, projectViews } from './embed-views.ts';
import { followOnline, slowGroups } from './momentum.ts';
import {
  batchNormProjector,
  headGroup,
  predictorSchema,
  predictorStack,
  projectorGroup,
  projectorStack,
} from './projector.ts';

const TARGET = ['target-encoder', 'target-projector'] as const;

const schema = z.strictObject({
  name: z.literal('byol'),
  /** Of the target's moving average at the start of the run; it rises to 1 along half a cosine. */
  momentum: z.number().min(0).max(1).default(0.95),
  projector: batchNormProjector,
  predictor: predictorSchema(256),
});
type ByolSpec = z.infer<typeof schema>;

const predictorOf = ({ predictor, projector }: ByolSpec) => predictorStack(predictor, projector.dim);

/** Predictions and targets of both views, [2·batch, d] each, the second view's rows last → scalar. */
export const byolLoss = (nn: Ops, predictions: Tensor, targets: Tensor): Tensor =>
  nn.tf.mul(nn.tf.sub(1, crossCosine(nn, predictions, targets)), 2);

export const byol: PretextTask<ByolSpec> = {
  name: 'byol',
  paper: 'Grill et al., NeurIPS 2020',
  schema,
  views: 2,
  lossRange: () => [0, 4],
  groups: (context) => {
    const projector = projectorGroup(projectorStack(context.spec.projector, context));
    const predictor = headGroup('predictor', predictorOf(context.spec));
    return [
      projector,
      { ...predictor, writeBack: 'dapu', persist: true },
      ...slowGroups(TARGET, context, projector, true),
    ];
  },
  scalars: ({ spec }, progress) => ({
    momentum: 1 - ((1 - spec.momentum) * (Math.cos(Math.PI * progress) + 1)) / 2,
  }),
  loss: (nn, inputs, context) => {
    const projections = projectViews(nn, inputs, context);
    const predictions = headOfViews(nn, inputs.params.predictor!, projections, predictorOf(context.spec), 2);
    return byolLoss(nn, predictions, projectViews(nn, inputs, context, TARGET));
  },
  afterStep: (nn, { params, scalars }) => followOnline(nn, params, TARGET, scalars.momentum!),
};
