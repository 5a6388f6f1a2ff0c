/** What a run needs besides its plan: how the data are shared out, and where the run folder goes. */
import { access, constants, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { TacitError } from '../protocol/errors.ts';
import type { PartitionChoice } from './options.ts';
import type { Override } from './overrides.ts';

/** `--set alpha=0.1` belongs to the data's partition and not to the plan; it is taken out here. */
export function takePartition(
  overrides: readonly Override[],
  flag: PartitionChoice | undefined,
): { readonly partition: PartitionChoice; readonly overrides: readonly Override[] } {
  const isAlpha = (o: Override): boolean => o.path.join('.') === 'alpha';
  const last = overrides.findLast(isAlpha);
  if (last && !(typeof last.value === 'number' && last.value > 0 && Number.isFinite(last.value))) {
    throw new TacitError('usage/unknown-flag', `--set ${last.text}: alpha must be a number above 0.`, {
      where: `--set ${last.text}`,
      hint: 'Small is uneven: 0.1 gives most participants one or two classes, 100 is almost even; --partition iid is even.',
    });
  }
  const rest = overrides.filter((o) => !isAlpha(o));
  if (last) return { partition: { kind: 'dirichlet', alpha: last.value as number }, overrides: rest };
  return { partition: flag ?? { kind: 'dirichlet', alpha: 0.1 }, overrides: rest };
}

/** `runs/digits-20260131-235959`, in local time. */
export function defaultOut(task: string, now = new Date()): string {
  const two = (n: number): string => String(n).padStart(2, '0');
  const date = `${now.getFullYear()}${two(now.getMonth() + 1)}${two(now.getDate())}`;
  const time = `${two(now.getHours())}${two(now.getMinutes())}${two(now.getSeconds())}`;
  return join('runs', `${task.replaceAll(':', '-')}-${date}-${time}`);
}

/** Makes the folder of a run before anything is computed for it. @throws TacitError run/store when it cannot be written */
export async function prepareOut(dir: string): Promise<string> {
  try {
    await mkdir(dir, { recursive: true });
    await access(dir, constants.W_OK);
    return dir;
  } catch (thrown) {
    const { code } = thrown as NodeJS.ErrnoException;
    const reason = code === 'EEXIST' || code === 'ENOTDIR' ? 'a file is in the way' : code;
    throw new TacitError('run/store', `Cannot write to the folder ${dir}: ${reason}.`, {
      where: `--out ${dir}`,
      hint: 'Name a folder that can be made and written, with --out DIR.',
      cause: thrown,
    });
  }
}
