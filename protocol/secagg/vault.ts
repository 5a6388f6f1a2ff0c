/** Secrets of a session in one place, so that all of them are erased whatever way it ends (SPEC.md §13.6). */
export interface Vault {
  /** Registers bytes and gives them back. */
  keep<T extends Uint8Array>(secret: T): T;
  /** Erases some of them early. */
  erase(secrets: Iterable<Uint8Array | undefined>): void;
  /** Erases everything. What is kept afterwards is erased at once. */
  wipe(): void;
}

export function createVault(): Vault {
  const secrets = new Set<Uint8Array>();
  let wiped = false;
  return {
    keep: (secret) => {
      if (wiped) secret.fill(0);
      else secrets.add(secret);
      return secret;
    },
    erase: (some) => {
      for (const secret of some) {
        secret?.fill(0);
        if (secret) secrets.delete(secret);
      }
    },
    wipe: () => {
      wiped = true;
      for (const secret of secrets) secret.fill(0);
      secrets.clear();
    },
  };
}
