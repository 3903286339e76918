/** Shelf keeps JSON values under "dwell." in one of the browser's stores, or in memory where that is blocked. */
export interface Shelf {
  read<T>(key: string, none: T): T;
  write(key: string, value: unknown): void;
  remove(key: string): void;
  /** keys that start so, without "dwell."; those in memory are not listed. */
  keys(prefix: string): string[];
}

const space = 'dwell.';

export function shelf(kind: 'localStorage' | 'sessionStorage'): Shelf {
  const memory: Record<string, string | undefined> = {};
  // Even naming a blocked store throws, so every use stands in a try.
  const attempt = <T>(f: (disk: Storage) => T): T | undefined => {
    try {
      return f(window[kind]);
    } catch {
      return undefined;
    }
  };
  const remove = (key: string) => {
    delete memory[key];
    attempt((disk) => disk.removeItem(space + key));
  };
  return {
    read<T>(key: string, none: T): T {
      try {
        return JSON.parse(memory[key] || attempt((disk) => disk.getItem(space + key)) || '') as T;
      } catch {
        return none;
      }
    },
    write(key, value) {
      const text = JSON.stringify(value);
      delete memory[key];
      attempt((disk) => (disk.setItem(space + key, text), true)) || (memory[key] = text);
    },
    remove,
    keys: (prefix) =>
      (attempt((disk) => Object.keys(disk)) || [])
        .filter((key) => key.startsWith(space + prefix))
        .map((key) => key.slice(space.length)),
  };
}

export const local = shelf('localStorage');
export const session = shelf('sessionStorage');
