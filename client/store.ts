/**
 * Where a participant keeps what must outlive a connection or a restart: small byte strings under names.
 * Node keeps them in a folder, the browser in IndexedDB, tests and simulations in memory.
 */

/** A durable map from names (`[a-z0-9.-]`) to bytes. */
export interface ParticipantStore {
  read(name: string): Promise<Uint8Array | undefined>;
  /** Resolves when the value will be found again after a crash. */
  write(name: string, value: Uint8Array): Promise<void>;
  /**
   * Replaces a value by what `change` makes of it; undefined leaves it. Nothing else writes it meanwhile, in no other process or tab.
   * @throws whatever `change` throws; nothing has changed then
   */
  update(name: string, change: (before: Uint8Array | undefined) => Uint8Array | undefined): Promise<void>;
  remove(name: string): Promise<void>;
}

/** A store that forgets everything with the process. */
export function memoryStore(): ParticipantStore {
  const values = new Map<string, Uint8Array>();
  return {
    read: async (name) => values.get(name),
    write: async (name, value) => void values.set(name, value.slice()),
    update: async (name, change) => {
      const after = change(values.get(name));
      if (after) values.set(name, after.slice());
    },
    remove: async (name) => void values.delete(name),
  };
}
