/** Milliseconds that a call may take where it isn't what is tested. What takes longer than usual is slow; tests of outages look at what hangs. */
export const PATIENCE = 20_000
