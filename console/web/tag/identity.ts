import { local } from './storage';

/** hex is as many random bytes, in hex. */
export function hex(bytes: number): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(bytes)), (b) => (b + 256).toString(16).slice(1)).join('');
}

/** User is who acts on this page: always an anonymousId, and a userId once the page identified one. */
export interface User {
  anonymousId: string;
  userId?: string;
}

const stored = 'user';

/** user returns who was here before, or somebody new. */
export function user(): User {
  const found = local.read<User | null>(stored, null);
  return found && found.anonymousId ? found : remember({ anonymousId: hex(16) });
}

/** remember keeps who it is for the next page. */
export function remember(who: User): User {
  local.write(stored, who);
  return who;
}
