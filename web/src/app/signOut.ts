import { call } from "../api/client";
import { tellFailure } from "../components/toasts";
import { leaveSession } from "./session";

/** Ends every session of the user, this one with them. */
export async function signOut(): Promise<void> {
  try {
    await call("DELETE /portal/v1/session");
    await leaveSession();
  } catch (error) {
    tellFailure(error);
  }
}
