// Which Node tests run on a platform, by the names of their files.

/** Segments, and the ways to wait: for what an emulator runs slowly. */
export const WAYS = /^(api|sync-ways)$/;

/** Segments, errors, and the ends of processes. */
export const FIRST = /^(api|errors|processes|endings)$/;

/** These, and a part of coordination. */
export const PART = /^(api|errors|processes|endings|sync-(locks|rings|waits|ways))$/;

/** These, and all of coordination. */
export const CORE = /^(api|errors|processes|endings|sync-.*)$/;
