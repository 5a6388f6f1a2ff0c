/** Opening several things at once, of which none is of use without the others. */

/**
 * Waits for all of `openings`. If one fails, those that were opened are closed again before its error is thrown.
 * @returns what was opened, in the order of `openings`
 */
export async function openTogether<T extends { close(): Promise<void> }>(
  openings: readonly Promise<T>[],
): Promise<T[]> {
  const results = await Promise.allSettled(openings);
  const opened = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
  const failure = results.find((result) => result.status === 'rejected');
  if (!failure) return opened;
  await Promise.all(opened.map((one) => one.close()));
  throw failure.reason;
}
