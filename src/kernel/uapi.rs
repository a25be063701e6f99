//! Constants of the kernel's user interface that neither neli nor rustix has, under the names of their headers.

/// linux/if_link.h: link attributes.
pub mod if_link {
    pub const IFLA_GROUP: u16 = 27;
    pub const IFLA_NET_NS_FD: u16 = 28;
    pub const IFLA_EXT_MASK: u16 = 29;
    pub const IFLA_INET6_ADDR_GEN_MODE: u16 = 8;
    pub const IN6_ADDR_GEN_MODE_NONE: u8 = 1;
    pub const IFLA_INFO_KIND: u16 = 1;
    pub const IFLA_INFO_DATA: u16 = 2;
    pub const IFLA_INFO_SLAVE_KIND: u16 = 4;
    pub const IFLA_INFO_SLAVE_DATA: u16 = 5;
    pub const VETH_INFO_PEER: u16 = 1;
    pub const IFLA_BR_MCAST_SNOOPING: u16 = 23;
    pub const IFLA_BRPORT_STATE: u16 = 1;
    pub const IFLA_BRPORT_MODE: u16 = 4;
    pub const IFLA_BRPORT_ISOLATED: u16 = 33;
    pub const BR_STATE_DISABLED: u8 = 0;
    /// linux/rtnetlink.h: leave the counters out of the answer, which cost the most to gather.
    pub const RTEXT_FILTER_SKIP_STATS: u32 = 1 << 3;
}

/// linux/rtnetlink.h and linux/netconf.h: who is told what, and settings of IP.
pub mod rtnetlink {
    pub const RTNLGRP_LINK: u32 = 1;
    pub const RTNLGRP_IPV4_IFADDR: u32 = 5;
    pub const RTNLGRP_IPV4_ROUTE: u32 = 7;
    pub const RTNLGRP_IPV6_IFADDR: u32 = 9;
    pub const RTNLGRP_IPV6_ROUTE: u32 = 11;
    pub const RTNLGRP_IPV4_NETCONF: u32 = 24;
    pub const RTNLGRP_IPV6_NETCONF: u32 = 25;
    pub const RTM_NEWNETCONF: u16 = 80;
    pub const RT_TABLE_MAIN: u8 = 254;
    pub const RTPROT_KERNEL: u8 = 2;
    pub const RTN_UNICAST: u8 = 1;
    pub const NETCONFA_IFINDEX: u16 = 1;
    pub const NETCONFA_FORWARDING: u16 = 2;
    pub const NETCONFA_IFINDEX_ALL: u32 = u32::MAX;
}

/// linux/netfilter/nfnetlink.h and nf_tables.h.
pub mod nf_tables {
    pub const NFNL_MSG_BATCH_BEGIN: u16 = 16;
    pub const NFNL_MSG_BATCH_END: u16 = 17;
    pub const NFNL_SUBSYS_CTNETLINK: u16 = 1;
    pub const NFNL_SUBSYS_NFTABLES: u16 = 10;
    pub const NFPROTO_INET: u8 = 1;
    pub const NFPROTO_IPV4: u8 = 2;
    pub const NFPROTO_BRIDGE: u8 = 7;
    pub const NFPROTO_IPV6: u8 = 10;

    pub const NFNLGRP_NFTABLES: u32 = 7;
    pub const NFT_MSG_NEWTABLE: u16 = 0;
    pub const NFT_MSG_GETTABLE: u16 = 1;
    pub const NFT_MSG_DELTABLE: u16 = 2;
    pub const NFT_MSG_NEWCHAIN: u16 = 3;
    pub const NFT_MSG_GETCHAIN: u16 = 4;
    pub const NFT_MSG_DELCHAIN: u16 = 5;
    pub const NFT_MSG_NEWRULE: u16 = 6;
    pub const NFT_MSG_GETRULE: u16 = 7;
    pub const NFT_MSG_DELRULE: u16 = 8;
    pub const NFT_MSG_NEWSET: u16 = 9;
    pub const NFT_MSG_DELSET: u16 = 11;
    pub const NFT_MSG_NEWSETELEM: u16 = 12;
    pub const NFT_MSG_GETSETELEM: u16 = 13;
    pub const NFT_MSG_DELSETELEM: u16 = 14;
    pub const NFT_MSG_NEWGEN: u16 = 15;
    pub const NFTA_GEN_PROC_PID: u16 = 2;
    pub const NFTA_GEN_PROC_NAME: u16 = 3;

    pub const NFTA_TABLE_NAME: u16 = 1;
    pub const NFTA_CHAIN_TABLE: u16 = 1;
    pub const NFTA_CHAIN_NAME: u16 = 3;
    pub const NFTA_CHAIN_HOOK: u16 = 4;
    pub const NFTA_CHAIN_POLICY: u16 = 5;
    pub const NFTA_CHAIN_TYPE: u16 = 7;
    pub const NFTA_HOOK_HOOKNUM: u16 = 1;
    pub const NFTA_HOOK_PRIORITY: u16 = 2;
    pub const NF_DROP: u32 = 0;
    pub const NF_ACCEPT: u32 = 1;
    pub const NF_INET_FORWARD: u32 = 2;

    pub const NFTA_SET_TABLE: u16 = 1;
    pub const NFTA_SET_NAME: u16 = 2;
    pub const NFTA_SET_FLAGS: u16 = 3;
    pub const NFTA_SET_KEY_TYPE: u16 = 4;
    pub const NFTA_SET_KEY_LEN: u16 = 5;
    pub const NFTA_SET_DATA_TYPE: u16 = 6;
    pub const NFTA_SET_DATA_LEN: u16 = 7;
    pub const NFTA_SET_DESC: u16 = 9;
    pub const NFTA_SET_ID: u16 = 10;
    pub const NFTA_SET_USERDATA: u16 = 13;
    pub const NFTA_SET_DESC_CONCAT: u16 = 2;
    pub const NFTA_SET_FIELD_LEN: u16 = 1;
    pub const NFTA_LIST_ELEM: u16 = 1;
    pub const NFT_SET_INTERVAL: u32 = 0x4;
    pub const NFT_SET_MAP: u32 = 0x8;
    pub const NFT_SET_TIMEOUT: u32 = 0x10;
    pub const NFT_SET_CONCAT: u32 = 0x80;

    pub const NFTA_SET_ELEM_LIST_TABLE: u16 = 1;
    pub const NFTA_SET_ELEM_LIST_SET: u16 = 2;
    pub const NFTA_SET_ELEM_LIST_ELEMENTS: u16 = 3;
    pub const NFTA_SET_ELEM_LIST_SET_ID: u16 = 4;
    pub const NFTA_SET_ELEM_KEY: u16 = 1;
    pub const NFTA_SET_ELEM_DATA: u16 = 2;
    pub const NFTA_SET_ELEM_FLAGS: u16 = 3;
    pub const NFTA_SET_ELEM_TIMEOUT: u16 = 4;
    pub const NFTA_SET_ELEM_KEY_END: u16 = 10;
    pub const NFT_SET_ELEM_INTERVAL_END: u32 = 1;
    pub const NFTA_DATA_VALUE: u16 = 1;
    pub const NFTA_DATA_VERDICT: u16 = 2;
    pub const NFTA_VERDICT_CODE: u16 = 1;
    pub const NFTA_VERDICT_CHAIN: u16 = 2;

    pub const NFTA_RULE_TABLE: u16 = 1;
    pub const NFTA_RULE_CHAIN: u16 = 2;
    pub const NFTA_RULE_EXPRESSIONS: u16 = 4;
    pub const NFTA_EXPR_NAME: u16 = 1;
    pub const NFTA_EXPR_DATA: u16 = 2;
    pub const NFTA_CMP_OP: u16 = 2;
    pub const NFTA_CMP_DATA: u16 = 3;
    pub const NFTA_IMMEDIATE_DATA: u16 = 2;
    pub const NFTA_TARGET_NAME: u16 = 1;
}

/// linux/netfilter/nfnetlink_conntrack.h, and what of a tuple a filter compares (net/netfilter/nf_internals.h).
pub mod conntrack {
    pub const IPCTNL_MSG_CT_GET: u16 = 1;
    pub const IPCTNL_MSG_CT_DELETE: u16 = 2;
    pub const CTA_TUPLE_ORIG: u16 = 1;
    pub const CTA_TUPLE_REPLY: u16 = 2;
    pub const CTA_ID: u16 = 12;
    pub const CTA_FILTER: u16 = 25;
    pub const CTA_TUPLE_IP: u16 = 1;
    pub const CTA_TUPLE_PROTO: u16 = 2;
    pub const CTA_IP_V4_SRC: u16 = 1;
    pub const CTA_IP_V4_DST: u16 = 2;
    pub const CTA_IP_V6_SRC: u16 = 3;
    pub const CTA_IP_V6_DST: u16 = 4;
    pub const CTA_PROTO_NUM: u16 = 1;
    pub const CTA_PROTO_SRC_PORT: u16 = 2;
    pub const CTA_PROTO_DST_PORT: u16 = 3;
    pub const CTA_FILTER_ORIG_FLAGS: u16 = 1;
    pub const CTA_FILTER_REPLY_FLAGS: u16 = 2;
    pub const CTA_FILTER_F_CTA_IP_SRC: u32 = 1;
    pub const CTA_FILTER_F_CTA_PROTO_NUM: u32 = 1 << 3;
    pub const CTA_FILTER_F_CTA_PROTO_DST_PORT: u32 = 1 << 5;
}
