/** This browser's certificates, kept beside its identity: one for each operator and task. */
import type { Plan } from '../../protocol/plan.ts';
import { indexedStore } from './database.ts';

const nameOf = ({ task, admission }: Plan): string => `certificate.${admission.operatorKey}.${task}`;

/** The certificate that was kept for such plans. @throws TacitError run/store */
export const keptCertificate = (plan: Plan): Promise<Uint8Array | undefined> => indexedStore().read(nameOf(plan));

/** @throws TacitError run/store */
export const keepCertificate = (plan: Plan, bytes: Uint8Array): Promise<void> =>
  indexedStore().write(nameOf(plan), bytes);

/** @throws TacitError run/store */
export const forgetCertificate = (plan: Plan): Promise<void> => indexedStore().remove(nameOf(plan));
