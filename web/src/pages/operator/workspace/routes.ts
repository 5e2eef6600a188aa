/** What is read anew when a workspace or its credits have changed. */
export const WORKSPACES = [
  "GET /admin/v1/workspaces",
  "GET /admin/v1/workspaces/{id}",
  "GET /admin/v1/workspaces/{id}/transfers",
  "GET /portal/v1/credits",
  "GET /portal/v1/overview",
] as const;
export const KEYS = ["GET /admin/v1/workspaces/{id}/keys", "GET /portal/v1/keys"] as const;
export const MEMBERS = ["GET /admin/v1/workspaces/{id}/members", "GET /portal/v1/members"] as const;
export const INVITATIONS = ["GET /admin/v1/workspaces/{id}/invitations", "GET /portal/v1/invitations"] as const;
