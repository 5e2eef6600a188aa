/** The fewest characters of a new password, as the gateway has it. */
export const SHORTEST_PASSWORD = 10;
