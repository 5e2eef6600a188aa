/**
 * How pages read and change data.
 *
 * A query's key is its route followed by what it asks for, so that `forget("GET /portal/v1/keys")` makes every page of
 * keys be read anew.
 */
import {
  QueryClient,
  useInfiniteQuery,
  useMutation,
  useQuery,
  type UseMutationResult,
  type UseQueryResult,
} from "@tanstack/react-query";
import { type Answer, ApiError, call, type CallOptions, type QueryValue, type RouteName } from "./client";

export const queries = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 15_000,
      refetchOnWindowFocus: false,
      retry: (failures, error) => failures < 2 && (!(error instanceof ApiError) || error.status >= 500 || error.status === 0),
    },
  },
});

type Reading<R extends RouteName> = Omit<CallOptions<R>, "body" | "signal"> & {
  enabled?: boolean;
  /** Read again so often; for what is shown live. */
  everyMs?: number | false;
};

/** Reads a route; pages with the same route and words share one request. */
export function useRoute<R extends RouteName>(route: R, reading: Reading<R> = {}): UseQueryResult<Answer<R>> {
  const { enabled = true, everyMs = false, ...options } = reading;
  return useQuery({
    queryKey: [route, options.path ?? {}, options.query ?? {}],
    queryFn: ({ signal }) => call(route, { ...options, signal } as CallOptions<R>),
    enabled,
    refetchInterval: everyMs,
  });
}

/** The rows of an answer that is a list, `{data, next}`. */
type RowOf<A> = A extends { data: readonly (infer T)[] } ? T : never;

/** A list that is read page by page. */
export interface Pages<T, A = unknown> {
  rows: T[] | undefined;
  /** The first answer, for what it tells beside the rows. */
  first: A | undefined;
  error: Error | null;
  isFetching: boolean;
  hasMore: boolean;
  readMore: () => void;
  retry: () => void;
}

/** Reads a list by its cursor, `next`. */
export function usePages<R extends RouteName>(
  route: R,
  reading: Reading<R> = {},
): Pages<RowOf<Answer<R>>, Answer<R>> {
  const { enabled = true, everyMs = false, ...options } = reading;
  const query = useInfiniteQuery({
    queryKey: [route, options.path ?? {}, options.query ?? {}, "pages"],
    queryFn: ({ signal, pageParam }) => {
      const words: Record<string, QueryValue> = { ...options.query, cursor: pageParam };
      return call(route, { ...options, query: words, signal } as CallOptions<R>);
    },
    initialPageParam: null as string | null,
    getNextPageParam: (last: Answer<R>) => (last as { next?: string | null }).next ?? null,
    enabled,
    refetchInterval: everyMs,
  });
  return {
    rows: query.data?.pages.flatMap((page) => (page as { data: RowOf<Answer<R>>[] }).data),
    first: query.data?.pages[0],
    error: query.error,
    isFetching: query.isFetching,
    hasMore: query.hasNextPage,
    readMore: () => void query.fetchNextPage(),
    retry: () => void query.refetch(),
  };
}

/** A list that comes whole, in the form that a DataTable takes. */
export function useList<R extends RouteName>(route: R, reading: Reading<R> = {}): Pages<RowOf<Answer<R>>, Answer<R>> {
  const query = useRoute(route, reading);
  return {
    rows: (query.data as { data: RowOf<Answer<R>>[] } | undefined)?.data,
    first: query.data,
    error: query.error,
    isFetching: query.isFetching,
    hasMore: false,
    readMore: () => undefined,
    retry: () => void query.refetch(),
  };
}

/** Changes something, then forgets what the given routes had answered. */
export function useChange<R extends RouteName>(
  route: R,
  forgets: readonly RouteName[] = [],
): UseMutationResult<Answer<R>, Error, CallOptions<R>> {
  return useMutation({
    mutationFn: (options: CallOptions<R>) => call(route, options),
    onSuccess: () => forget(...forgets),
  });
}

/** Has the given routes read anew where they are shown. */
export async function forget(...routes: RouteName[]): Promise<void> {
  await Promise.all(routes.map((route) => queries.invalidateQueries({ queryKey: [route] })));
}
