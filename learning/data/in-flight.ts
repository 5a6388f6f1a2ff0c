/** A few asynchronous tasks at a time. */

/** Images decoded at the same time. */
const IN_FLIGHT = 4;

/** Runs `task` for 0…count−1, at most `IN_FLIGHT` at a time; after a failure no further one starts. */
export async function eachInFlight(count: number, task: (i: number) => Promise<void>): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < count) {
      const i = next++;
      try {
        await task(i);
      } catch (error) {
        next = count;
        throw error;
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(IN_FLIGHT, count) }, lane));
}
