/** Who is signed in, for every page. */
import { createContext, use, useEffect, type ReactNode } from "react";
import { type Answer, keepCsrfToken, whenSignedOut } from "../api/client";
import { queries, useRoute } from "../api/queries";
import { Failure, PageLoading } from "../components/States";
import { keepFreshKey } from "./freshKey";

export type Session = Answer<"GET /portal/v1/session">;
/** A session of somebody: what pages behind the sign-in see. */
export type SignedIn = Session & { user: NonNullable<Session["user"]>; workspace: NonNullable<Session["workspace"]> };

const SESSION = "GET /portal/v1/session";
const SESSION_KEY = [SESSION, {}, {}];
const SessionContext = createContext<Session | null>(null);

export function SessionProvider({ children }: { children: ReactNode }) {
  const { data, error, refetch } = useRoute(SESSION);
  useEffect(() => whenSignedOut(() => void queries.invalidateQueries({ queryKey: [SESSION] })), []);
  if (data) {
    keepCsrfToken(data.csrf_token ?? "");
    return <SessionContext value={data}>{children}</SessionContext>;
  }
  return error ? <Failure error={error} retry={() => void refetch()} /> : <PageLoading />;
}

/** The session, also of nobody: for the pages before the sign-in. */
export function useAnySession(): Session {
  const session = use(SessionContext);
  if (!session) throw new Error("outside of SessionProvider");
  return session;
}

/** The session of who is signed in. */
export function useSession(): SignedIn {
  return useAnySession() as SignedIn;
}

/** Takes a session that a route answered: a sign-in, another workspace, a new name. */
export function enterSession(session: Session, sameWorkspace = false): void {
  keepCsrfToken(session.csrf_token ?? "");
  if (!sameWorkspace) {
    keepFreshKey(null);
    queries.removeQueries({ predicate: (query) => query.queryKey[0] !== SESSION });
  }
  queries.setQueryData(SESSION_KEY, session);
}

/** Forgets everything that was read, after the session has ended. */
export async function leaveSession(): Promise<void> {
  keepFreshKey(null);
  queries.removeQueries({ predicate: (query) => query.queryKey[0] !== SESSION });
  await queries.invalidateQueries({ queryKey: [SESSION] });
}
